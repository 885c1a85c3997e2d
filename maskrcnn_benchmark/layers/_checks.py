"""Argument checks of the region operators, shared by the extension and the fallback."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

MAX_LEVELS = 8  # kMaxLevels of csrc/roi_align/kernel.h


def check_shape(op: str, name: str, tensor: Tensor, expected: tuple[int | str, ...]) -> None:
    """Raise ValueError unless ``tensor`` has the expected shape; a letter matches any size."""
    if not isinstance(tensor, Tensor):
        raise ValueError(f"{op}: expected {name} as a tensor, got {type(tensor).__name__}")
    fits = tensor.dim() == len(expected) and all(
        isinstance(want, str) or size == want
        for size, want in zip(tensor.shape, expected, strict=True)
    )
    if not fits:
        text = ", ".join(map(str, expected))
        raise ValueError(f"{op}: expected {name} [{text}], got {list(tensor.shape)}")


def check_floating(op: str, name: str, tensor: Tensor) -> None:
    """Raise ValueError unless the tensor has a real floating-point dtype."""
    if not tensor.is_floating_point():
        raise ValueError(f"{op}: expected {name} of a floating type, got {tensor.dtype}")


def check_integer(op: str, name: str, tensor: Tensor) -> None:
    """Raise ValueError unless the tensor has an integer dtype."""
    if tensor.is_floating_point() or tensor.is_complex():
        raise ValueError(f"{op}: expected {name} of an integer type, got {tensor.dtype}")


def check_positive(op: str, name: str, value: float) -> None:
    """Raise ValueError unless the value is finite and greater than 0."""
    if not 0 < value < math.inf:  # also False for NaN
        raise ValueError(f"{op}: expected {name} > 0, got {value!r}")


def check_device(op: str, name: str, tensor: Tensor, reference: Tensor) -> None:
    """Raise ValueError unless both tensors are on the same device."""
    if tensor.device != reference.device:
        raise ValueError(f"{op}: expected {name} on {reference.device}, got {tensor.device}")


def check_scored_boxes(op: str, boxes: Tensor, scores: Tensor, groups: Tensor) -> None:
    """Check boxes ``[N, 4]`` with their scores ``[N]`` and groups ``[N]``."""
    check_shape(op, "boxes", boxes, ("N", 4))
    check_floating(op, "boxes", boxes)
    for name, tensor in (("scores", scores), ("groups", groups)):
        check_shape(op, name, tensor, (boxes.shape[0],))
        check_device(op, name, tensor, boxes)
    check_floating(op, "scores", scores)
    check_integer(op, "groups", groups)


def check_max_keep(op: str, max_keep: int) -> None:
    """Raise ValueError if the number of boxes to keep per group is negative; 0 keeps all."""
    if max_keep < 0:
        raise ValueError(f"{op}: expected max_keep >= 0 (0 for all), got {max_keep}")


def check_regions(op: str, input: Tensor, rois: Tensor) -> None:
    """Check the features ``[N, C, H, W]`` and the regions ``[R, 5]`` of a pooling operator."""
    check_shape(op, "input", input, ("N", "C", "H", "W"))
    if 0 in input.shape[2:]:
        raise ValueError(f"{op}: expected input with H, W > 0, got {list(input.shape)}")
    check_shape(op, "rois", rois, ("R", 5))
    check_floating(op, "input", input)
    check_floating(op, "rois", rois)
    check_device(op, "rois", rois, input)


def check_pyramid(
    op: str, features: Sequence[Tensor], rois: Tensor, levels: Tensor, scales: Sequence[float]
) -> None:
    """Check the feature maps, regions ``[R, 5]`` and levels ``[R]`` of a pooling operator."""
    if not 0 < len(features) <= MAX_LEVELS:
        raise ValueError(f"{op}: expected 1 to {MAX_LEVELS} feature maps, got {len(features)}")
    if len(scales) != len(features):
        raise ValueError(
            f"{op}: expected a scale for each of {len(features)} feature maps, got {list(scales)}"
        )
    if not all(0 < scale < math.inf for scale in scales):
        raise ValueError(f"{op}: expected spatial_scales > 0, got {list(scales)}")
    first = features[0]
    for level, feature in enumerate(features):
        check_regions(op, feature, rois)
        if feature.dtype != first.dtype or feature.shape[:2] != first.shape[:2]:
            raise ValueError(
                f"{op}: expected feature maps [{first.shape[0]}, {first.shape[1]}, H, W] of "
                f"{first.dtype}, got {list(feature.shape)} of {feature.dtype} at level {level}"
            )
    check_shape(op, "levels", levels, (rois.shape[0],))
    if levels.dtype != torch.int64:
        raise ValueError(f"{op}: expected levels of torch.int64, got {levels.dtype}")
    check_device(op, "levels", levels, first)


def to_pair(op: str, output_size: int | tuple[int, int]) -> tuple[int, int]:
    """Return ``(height, width)``; an int means a square. Raise ValueError unless both are > 0."""
    pair = (output_size, output_size) if isinstance(output_size, int) else output_size
    if not (isinstance(pair, Sequence) and len(pair) == 2 and all(map(_is_count, pair))):
        raise ValueError(f"{op}: expected output_size > 0 or a pair of such, got {output_size!r}")
    return pair[0], pair[1]


def _is_count(value: object) -> bool:
    return isinstance(value, int) and value > 0
