"""The whole model: backbone, RPN, ROI heads."""

import contextlib
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from maskrcnn_benchmark.modeling.roi_heads.roi_heads import CombinedROIHeads
from maskrcnn_benchmark.modeling.rpn.proposals import RPNOutput
from maskrcnn_benchmark.modeling.rpn.retinanet.retinanet import RetinaNet
from maskrcnn_benchmark.modeling.rpn.rpn import RPN
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.image_list import ImageList, to_image_list


class GeneralizedRCNN(nn.Module):
    """Faster, Mask or Mask Scoring R-CNN; without ROI heads, only an RPN, or a RetinaNet.

    Args:
        backbone: maps images to feature maps.
        rpn: maps feature maps to proposals, or, without ROI heads, to detections.
        roi_heads: maps proposals to detections; None for a model of one stage.
        dtype: float16 or bfloat16 for mixed precision with ``torch.autocast``; with float32 the
            autocast state of the caller applies.
    """

    def __init__(
        self,
        backbone: nn.Module,
        rpn: RPN | RetinaNet,
        roi_heads: CombinedROIHeads | None,
        *,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.dtype = dtype
        self.backbone = backbone
        self.rpn = rpn
        self.roi_heads = roi_heads

    def forward(
        self,
        images: ImageList | Sequence[Tensor] | Tensor,
        targets: Sequence[BoxList] | None = None,
    ) -> dict[str, Tensor] | list[BoxList]:
        """Return the losses in training mode and the detections of each image in evaluation mode.

        Args:
            images: normalized images, by default BGR in [0, 255] minus the mean (``INPUT``), padded
                to a multiple of ``DATALOADER.SIZE_DIVISIBILITY``.
            targets: ground truth of each image, in pixels of ``images``; required in training.

        Raises:
            ValueError: in training, targets are missing, their number differs from that of the
                images, or they use another box convention than the model.
        """
        images = to_image_list(images)
        with self.precision(images.tensors.device):
            if not self.training:
                return self.predict(images)
            return self.losses(images, self._check_targets(images, targets))

    def precision(self, device: torch.device) -> contextlib.AbstractContextManager[None]:
        """Return the autocast context of the forward pass."""
        if self.dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(device.type, dtype=self.dtype)

    def _check_targets(
        self, images: ImageList, targets: Sequence[BoxList] | None
    ) -> Sequence[BoxList]:
        """Return the targets if they match the images and the model."""
        if targets is None or len(targets) != len(images.image_sizes):
            given = "none" if targets is None else len(targets)
            raise ValueError(
                f"GeneralizedRCNN: training needs a target for each image, got {given} for "
                f"{len(images.image_sizes)} images"
            )
        ours = self.rpn.box_coder.pixel_offset
        theirs = {target.pixel_offset for target in targets}
        if theirs != {ours}:
            raise ValueError(
                f"GeneralizedRCNN: targets have the pixel_offset {sorted(theirs)}, the model "
                f"{ours:g} (MODEL.PIXEL_OFFSET)"
            )
        return targets

    def losses(self, images: ImageList, targets: Sequence[BoxList]) -> dict[str, Tensor]:
        """Return the losses of ``rpn`` and of the ROI heads by name."""
        features = self.backbone(images.tensors)
        losses, output = self.rpn.losses(images, features, targets)
        if self.roi_heads is not None:
            assert isinstance(self.rpn, RPN) and isinstance(output, RPNOutput)
            proposals = self.rpn.train_proposals(images, output)
            losses |= self.roi_heads.losses(features, proposals, targets)
        return losses

    def predict(self, images: ImageList) -> list[BoxList]:
        """Return the detections of each image; without ROI heads, those of ``rpn``."""
        features = self.backbone(images.tensors)
        output = self.rpn(features)
        if self.roi_heads is None:
            return self.rpn.detections(images, output)
        assert isinstance(self.rpn, RPN)
        return self.roi_heads.predict(features, self.rpn.predict(images, output))
