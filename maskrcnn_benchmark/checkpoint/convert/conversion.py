"""Convert another project's state dict to ours."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from maskrcnn_benchmark.checkpoint.convert.file_config import FileConfig, read_file_config
from maskrcnn_benchmark.checkpoint.convert.norms import complete_norms, place_norms
from maskrcnn_benchmark.checkpoint.convert.settings import (
    change_settings,
    legacy_roi_align,
    lvis_limits,
    make_settings,
)
from maskrcnn_benchmark.checkpoint.convert.sources import (
    DETECTRON2,
    TORCHVISION,
    Source,
    find_source,
)
from maskrcnn_benchmark.checkpoint.convert.style import (
    STYLES,
    Style,
    choose_style,
    style_of_buffers,
)
from maskrcnn_benchmark.structures.class_names import COCO_CATEGORY_IDS, COCO_NAMES

_BN_EPS = 1e-5  # epsilon of batch norms in all three projects

_CLASS_SCORES = re.compile(r"roi_heads\.box\.(stages\.\d\.)?predictor\.cls_score\.\w+")
_BOX_OFFSETS = re.compile(r"roi_heads\.box\.predictor\.bbox_pred\.\w+")
_PER_CLASS = (
    _CLASS_SCORES,
    _BOX_OFFSETS,
    re.compile(r"roi_heads\.mask\.(predictor\.stages\.\d\.)?predictor\.mask_fcn_logits\.\w+"),
    re.compile(r"roi_heads\.maskiou\.predictor\.maskiou\.\w+"),
)


@dataclass(frozen=True)
class Conversion:
    """A converted model.

    Attributes:
        source: name of the source project.
        state: float32 tensors by our names; without a MaskIoU head if the model has none.
        settings: the config keys that differ from the defaults, as a tree.
        class_names: class names without the background; None if unknown.
        is_coco: whether the classes are the 80 of COCO in order of category id.
        assumed: the settings that were read from the file or assumed, in one line.
    """

    source: str
    state: dict[str, Tensor]
    settings: dict[str, Any]
    class_names: list[str] | None
    is_coco: bool
    assumed: str

    @property
    def has_masks(self) -> bool:
        """Whether the model has a mask head."""
        return bool(self.settings["MODEL"]["MASK_ON"])

    @property
    def has_maskiou(self) -> bool:
        """Whether the model has a MaskIoU head."""
        return bool(self.settings["MODEL"]["MASKIOU_ON"])


@dataclass(frozen=True)
class Options:
    """Facts about a file that the user or the table of published models provides.

    Attributes:
        style: ``"pytorch"`` (RGB, stride in the 3x3 convolutions), ``"caffe"`` (BGR, stride in the
            1x1 convolutions), ``"gn"`` (BGR, stride in the 3x3 convolutions) or ``"x101-32x8d"``
            (the same with std); None to read it from the file.
        bn_eps: epsilon of the batch norms, which is added to the variances because our
            FrozenBatchNorm2d has none; None for 0 with the published COCO weights of torchvision
            and 1e-5 otherwise.
        class_names: class names without the background; None to read them from the file, or use
            those of COCO if there are 80.
        legacy_roi_align: whether to pool like the ``noaug`` models of detectron2: not aligned, 2
            samples per bin and axis.
    """

    style: str | None = None
    bn_eps: float | None = None
    class_names: Sequence[str] | None = None
    legacy_roi_align: bool = False


def convert_detector(
    state: Mapping[str, Tensor], options: Options | None = None, *, meta: Any = None
) -> Conversion:
    """Convert a Faster, Mask, Cascade or Mask Scoring R-CNN with ResNe(X)t-50 or 101 and FPN.

    Args:
        state: state dict of torchvision's ``maskrcnn_resnet50_fpn`` or ``_v2`` or its Faster R-CNN,
            of detectron2 or mmdetection.
        options: facts that are not in the file.
        meta: entry ``meta`` of an mmdetection checkpoint.

    Raises:
        ValueError: the model is not supported, or an option is missing or contradicts the file; the
            message has the reason.
    """
    options = options or Options()
    source = find_source(state)
    renamed = _renamed(state, source)
    scores = next((n for n in renamed if _CLASS_SCORES.fullmatch(n)), None)
    if scores is None:
        raise ValueError(f"this {source.name} model has no box head: its class scores are missing")
    classes = len(renamed[scores])
    file = read_file_config(meta)
    names = file.class_names if options.class_names is None else list(options.class_names)
    is_coco = classes == source.coco_classes and names in (None, COCO_NAMES)
    names = COCO_NAMES if is_coco else names
    eps = options.bn_eps
    if eps is None:
        eps = 0.0 if is_coco and _is_published_torchvision(state, source) else _BN_EPS
    complete_norms(renamed, eps)
    renamed = place_norms(renamed)
    for name in renamed:
        if any(pattern.fullmatch(name) for pattern in _PER_CLASS):
            rows = _reordered(name, renamed[name], source, classes=classes, is_coco=is_coco)
            renamed[name] = rows
    foreground = len(renamed[scores]) - 1
    if names is not None and len(names) != foreground:
        raise ValueError(f"{len(names)} class names for a model of {foreground} classes")
    style, origin = _find_style(state, source, options, file)
    settings = make_settings(renamed, source, style, is_coco=is_coco)
    change_settings(settings, lvis_limits(foreground) | file.settings)
    if options.legacy_roi_align:
        change_settings(settings, legacy_roi_align())
    found = f"{origin}: {style}; {_facts(settings, is_coco)}, batch norm epsilon {eps:g}"
    return Conversion(source.name, renamed, settings, names, is_coco, found)


def _find_style(
    state: Mapping[str, Tensor], source: Source, options: Options, file: FileConfig
) -> tuple[Style, str]:
    """Return the style and its origin, see ``choose_style``."""
    if source is TORCHVISION:
        told = STYLES["pytorch"]  # torchvision has no other style
    else:
        told = style_of_buffers(state) if source is DETECTRON2 else file.style
    return choose_style(options.style, told)


def _facts(settings: Mapping[str, Any], is_coco: bool) -> str:
    """Describe the settings that a user should check before relying on a converted model."""
    model = settings["MODEL"]
    count = model["ROI_BOX_HEAD"]["NUM_CLASSES"] - 1
    limits = lvis_limits(count)
    kind = " (COCO)" if is_coco else " (LVIS, judging by their number)" if limits else ""
    pooler, heads = model["ROI_BOX_HEAD"], model["ROI_HEADS"]
    body, nets = model["BACKBONE"]["CONV_BODY"], model["RESNETS"]
    groups = f" with {nets['NUM_GROUPS']} groups of {nets['WIDTH_PER_GROUP']}"
    cascade = model.get("ROI_BOX_CASCADE_HEAD")
    stages = "" if cascade is None else f", three stages, mean of {cascade['AVERAGE']}"
    return (
        f"{body}{groups if nets['NUM_GROUPS'] > 1 else ''}, {count} classes{kind}{stages}, RoIAlign"
        f" {'aligned' if pooler['POOLER_ALIGNED'] else 'not aligned'} with "
        f"{pooler['POOLER_SAMPLING_RATIO'] or 'adaptive'} samples, "
        f"{heads.get('DETECTIONS_PER_IMG', 100)} detections above {heads.get('SCORE_THRESH', 0.05)}"
    )


def _renamed(state: Mapping[str, Tensor], source: Source) -> dict[str, Tensor]:
    """Return copies of the tensors with our names."""
    renamed, unknown = {}, []
    for name, tensor in state.items():
        ours = source.our_name(name)
        if ours is not None and ours not in renamed:
            renamed[ours] = tensor.float().clone()
        elif not re.fullmatch(source.dropped, name):
            unknown.append(name)
    if unknown:
        raise ValueError(
            f"this {source.name} model has {len(unknown)} tensors that a Faster, Mask or Cascade "
            f"R-CNN with ResNe(X)t-50/101 and FPN does not have: {', '.join(unknown[:5])}"
        )
    return renamed


def _is_published_torchvision(state: Mapping[str, Tensor], source: Source) -> bool:
    """Return whether the norms are frozen, as in the COCO weights of torchvision.

    torchvision sets their epsilon to 0 when it loads these weights. Models with trainable norms
    have ``num_batches_tracked``.
    """
    return source is TORCHVISION and not any(n.endswith("num_batches_tracked") for n in state)


def _reordered(name: str, tensor: Tensor, source: Source, *, classes: int, is_coco: bool) -> Tensor:
    """Reorder the rows of a tensor to our class order, where class 0 is the background.

    Args:
        name: name of the tensor.
        tensor: ``[classes, ...]``, or ``[classes * 4, ...]`` for box offsets, without the
            background if nothing is predicted for it.
        source: source project.
        classes: number of classes that the model scores, background included.
        is_coco: whether the rows of torchvision are indexed by COCO category id.
    """
    width = 4 if _BOX_OFFSETS.fullmatch(name) else 1
    scores_alone = source.background_last and not _CLASS_SCORES.fullmatch(name)
    expected = (classes - scores_alone) * width
    if len(tensor) != expected:
        raise ValueError(
            f"{name} has {len(tensor)} rows; {expected} are expected for {classes} class scores "
            "(class-agnostic boxes or masks are not supported)"
        )
    rows = tensor.unflatten(0, (-1, width))
    if scores_alone:
        rows = torch.cat([torch.zeros_like(rows[:1]), rows])
    elif source.background_last:
        rows = rows.roll(1, dims=0)
    elif is_coco:
        # torchvision indexes its COCO classes by category id
        rows = rows[[0, *COCO_CATEGORY_IDS]]
    return rows.flatten(0, 1)
