"""Training of one part of a detector with everything else frozen (``SOLVER.TRAIN_ONLY``)."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn
from yacs.config import CfgNode

from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.image_list import ImageList


class Part(NamedTuple):
    """A trainable part of a detector: its module and its losses."""

    module: str
    losses: tuple[str, ...]


PARTS = {
    "rpn": Part("rpn", ("loss_objectness", "loss_rpn_box_reg")),
    "box": Part("roi_heads.box", ("loss_classifier", "loss_box_reg")),
    "mask": Part("roi_heads.mask", ("loss_mask",)),
    "maskiou": Part("roi_heads.maskiou", ("loss_maskiou",)),
    "keypoint": Part("roi_heads.keypoint", ("loss_kp",)),
}


def freeze_all_but(model: nn.Module, part: str) -> None:
    """Freeze all parameters except those that belong to one part exclusively.

    In C4 models, the box and the mask head share their last stage, which is frozen in both cases.

    Args:
        model: a detector, modified in place.
        part: a key of ``PARTS``.
    """
    prefix = f"{PARTS[part].module}."
    names = defaultdict(list)
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names[parameter].append(name)
    for parameter, own in names.items():
        parameter.requires_grad_(all(name.startswith(prefix) for name in own))


class TrainOnly(nn.Module):
    """Wrapper that trains one part of a detector with the losses of that part.

    All other parameters are frozen, and all other modules stay in evaluation mode, so that batch
    norm statistics are not updated either.

    Args:
        model: the detector, frozen in place.
        part: a key of ``PARTS``.
    """

    def __init__(self, model: nn.Module, part: str) -> None:
        super().__init__()
        self.model = model
        self.part = PARTS[part]
        freeze_all_but(model, part)

    def train(self, mode: bool = True) -> "TrainOnly":
        """Set the mode of the trained part; the rest stays in evaluation mode."""
        super().train(mode)
        if mode:
            prefix = f"{self.part.module}."
            for name, module in self.model.named_modules(remove_duplicate=False):
                if name and not f"{name}.".startswith(prefix):
                    module.training = False
        return self

    def forward(self, images: ImageList, targets: Sequence[BoxList]) -> dict[str, Tensor]:
        """Return the losses of the trained part, as computed when training the whole model.

        Args:
            images: a batch of images.
            targets: ground truth of each image.
        """
        losses = self.model(images, targets)
        wanted = self.part.losses
        return {name: loss for name, loss in losses.items() if _without_stage(name) in wanted}


def _without_stage(loss: str) -> str:
    """Return the name of a loss without the suffix that it has in a cascade, such as _stage2."""
    return loss.partition("_stage")[0]


def make_learner(cfg: CfgNode, model: nn.Module) -> nn.Module:
    """Return the model to train: the whole model, or the part selected by SOLVER.TRAIN_ONLY."""
    part = cfg.SOLVER.TRAIN_ONLY
    return TrainOnly(model, part) if part else model
