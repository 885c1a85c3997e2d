"""From another project's state dict to ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .settings import make_settings
from .sources import DETECTRON2, TORCHVISION, Source, find_source

_BN_EPS = 1e-5  # of batch norms in all three projects
# torchvision numbers its COCO classes by category id; these ids of 1 ... 90 are not in use
_UNUSED_COCO_IDS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
_COCO_IDS = [number for number in range(1, 91) if number not in _UNUSED_COCO_IDS]

_CLASS_SCORES = "roi_heads.box.predictor.cls_score."
_BOX_OFFSETS = "roi_heads.box.predictor.bbox_pred."
_MASK_LOGITS = "roi_heads.mask.predictor.mask_fcn_logits."
_PER_CLASS = (
    _CLASS_SCORES,
    _BOX_OFFSETS,
    _MASK_LOGITS,
    "roi_heads.maskiou.predictor.maskiou.",
)
_NORM = re.compile(r"backbone\.body\.(.*\.)?(bn\d|downsample\.1)\.weight")


@dataclass(frozen=True)
class Conversion:
    """A converted model.

    Attributes:
        source: name of the project that it comes from.
        state: our names -> float32 tensors; without a MaskIoU head if there was none.
        settings: the keys of the config that differ from the defaults, as a tree.
        bn_eps: what was added to the variances.
        is_coco: whether the classes are COCO's 80 in the order of the category ids.
    """

    source: str
    state: dict[str, Tensor]
    settings: dict[str, Any]
    bn_eps: float
    is_coco: bool

    @property
    def has_maskiou(self) -> bool:
        """Whether the model predicts the quality of its masks already."""
        return any(name.startswith("roi_heads.maskiou.") for name in self.state)


def convert_detector(
    state: Mapping[str, Tensor],
    *,
    style: str | None = None,
    bn_eps: float | None = None,
    own_classes: bool = False,
) -> Conversion:
    """Convert a Mask R-CNN, or Mask Scoring R-CNN, with ResNet-50 or 101 and FPN.

    Args:
        state: state dict of torchvision's ``maskrcnn_resnet50_fpn``, of detectron2 or mmdetection.
        style: ``"pytorch"`` (RGB of 0 to 1, stride in the 3x3 convolutions) or ``"caffe"`` (BGR of
            0 to 255, stride in the 1x1 convolutions); None: caffe for detectron2, whose models
            start from MSRA's ResNets, pytorch otherwise.
        bn_eps: epsilon of the batch norms, which our FrozenBatchNorm2d has in its variances; None:
            0 for torchvision's published COCO weights, else 1e-5.
        own_classes: do not take a model of as many classes as COCO's for one of COCO.

    Raises:
        ValueError: the weights are of another kind of model; the message names what is in the way.
    """
    source = find_source(state)
    renamed = _renamed(state, source)
    for needed in (f"{_CLASS_SCORES}weight", f"{_MASK_LOGITS}weight"):
        if needed not in renamed:
            raise ValueError(f"this {source.name} model has no mask head: {needed} is missing")
    classes = len(renamed[f"{_CLASS_SCORES}weight"])
    is_coco = not own_classes and classes == source.coco_classes
    if bn_eps is None:
        bn_eps = 0.0 if is_coco and _is_published_torchvision(state, source) else _BN_EPS
    _complete_norms(renamed, bn_eps)
    for name in renamed:
        if name.startswith(_PER_CLASS):
            rows = _reordered(name, renamed[name], source, classes=classes, is_coco=is_coco)
            renamed[name] = rows
    if style is None:
        style = "caffe" if source is DETECTRON2 else "pytorch"
    settings = make_settings(renamed, source, style=style, is_coco=is_coco)
    return Conversion(source.name, renamed, settings, bn_eps, is_coco)


def _renamed(state: Mapping[str, Tensor], source: Source) -> dict[str, Tensor]:
    """Return copies of the tensors under our names."""
    renamed, unknown = {}, []
    for name, tensor in state.items():
        ours = source.our_name(name)
        if ours is not None:
            renamed[ours] = tensor.float().clone()
        elif not re.fullmatch(source.dropped, name):
            unknown.append(name)
    if unknown:
        raise ValueError(
            f"this {source.name} model has parts that a Mask R-CNN with ResNet-50/101 and FPN does "
            f"not have, {len(unknown)} tensors: {', '.join(unknown[:5])}"
        )
    return renamed


def _is_published_torchvision(state: Mapping[str, Tensor], source: Source) -> bool:
    """Tell whether norms are frozen ones, as in torchvision's COCO weights.

    torchvision sets their epsilon to 0 when it loads those. A model that was built with trainable
    norms counts its batches.
    """
    return source is TORCHVISION and not any(n.endswith("num_batches_tracked") for n in state)


def _complete_norms(state: dict[str, Tensor], bn_eps: float) -> None:
    """Add epsilon to the variances; a norm without statistics gets mean 0 and variance 1."""
    for name in [n for n in state if _NORM.fullmatch(n)]:
        norm = name.removesuffix("weight")
        if f"{norm}running_var" in state:
            state[f"{norm}running_var"] += bn_eps
        else:
            state[f"{norm}running_mean"] = torch.zeros_like(state[name])
            state[f"{norm}running_var"] = torch.ones_like(state[name])


def _reordered(name: str, tensor: Tensor, source: Source, *, classes: int, is_coco: bool) -> Tensor:
    """Return the rows of a tensor in our order of the classes, with background 0.

    Args:
        name: of the tensor.
        tensor: ``[classes, ...]``, of box offsets ``[classes * 4, ...]``, without the background
            where nothing is predicted for it.
        source: where it comes from.
        classes: that the model scores, background included.
        is_coco: whether torchvision's rows are numbered by COCO's category ids.
    """
    width = 4 if name.startswith(_BOX_OFFSETS) else 1
    scores_alone = source.background_last and not name.startswith(_CLASS_SCORES)
    expected = (classes - scores_alone) * width
    if len(tensor) != expected:
        raise ValueError(
            f"{name} has {len(tensor)} rows; {expected} are expected for {classes} class scores "
            "(models whose boxes or masks are the same for all classes cannot be converted)"
        )
    rows = tensor.unflatten(0, (-1, width))
    if scores_alone:
        rows = torch.cat([torch.zeros_like(rows[:1]), rows])
    elif source.background_last:
        rows = rows.roll(1, dims=0)
    elif is_coco:
        rows = rows[[0, *_COCO_IDS]]
    return rows.flatten(0, 1)
