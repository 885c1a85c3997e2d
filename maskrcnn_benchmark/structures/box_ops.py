"""Geometry of boxes ``[N, 4]`` given as ``x1, y1, x2, y2`` in pixels.

This module defines the box convention: the width of a box is ``x2 - x1 + pixel_offset``.

* 1, ``PIXEL_OFFSET``, the default: boxes are inclusive, and a box of one pixel has ``x1 == x2``
  (inherited from Detectron; trained weights depend on it).
* 0: coordinates are continuous, and a box of one pixel has ``x2 == x1 + 1``.

``BoxList`` and ``BoxCoder`` store the value (``MODEL.PIXEL_OFFSET``); the functions here take it as
a required argument, so that none silently uses a default.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

PIXEL_OFFSET = 1.0


def box_sizes(boxes: Tensor, pixel_offset: float) -> tuple[Tensor, Tensor]:
    """Return widths ``[N]`` and heights ``[N]`` in pixels of boxes ``[N, 4]``."""
    widths, heights = box_extents(boxes, pixel_offset).unbind(dim=-1)
    return widths, heights


def box_extents(boxes: Tensor, pixel_offset: float) -> Tensor:
    """Return the width and the height in pixels, ``[..., 2]``, of boxes ``[..., 4]``."""
    return boxes[..., 2:] - boxes[..., :2] + pixel_offset


def box_area(boxes: Tensor, pixel_offset: float) -> Tensor:
    """Return the areas ``[N]`` in square pixels of boxes ``[N, 4]``."""
    widths, heights = box_sizes(boxes, pixel_offset)
    return widths * heights


def box_iou(boxes1: Tensor, boxes2: Tensor, pixel_offset: float) -> Tensor:
    """Return the pairwise IoU ``[N, M]`` of ``boxes1`` ``[N, 4]`` and ``boxes2`` ``[M, 4]``."""
    # one axis at a time: [N, M, 2] would double the memory for hundreds of objects and all anchors
    overlap = _overlap(boxes1[:, 0::2], boxes2[:, 0::2], pixel_offset).mul_(
        _overlap(boxes1[:, 1::2], boxes2[:, 1::2], pixel_offset)
    )
    area1, area2 = box_area(boxes1, pixel_offset), box_area(boxes2, pixel_offset)
    return overlap / (area1[:, None] + area2[None, :] - overlap)


def _overlap(ends1: Tensor, ends2: Tensor, pixel_offset: float) -> Tensor:
    """Return the overlap lengths ``[N, M]`` of intervals ``[N, 2]`` and ``[M, 2]``."""
    low = torch.maximum(ends1[:, None, 0], ends2[None, :, 0])
    high = torch.minimum(ends1[:, None, 1], ends2[None, :, 1])
    return high.sub_(low).add_(pixel_offset).clamp_(min=0)


def clip_boxes(boxes: Tensor, image_size: tuple[int, int], pixel_offset: float) -> Tensor:
    """Clip boxes ``[..., 4]`` to the image: ``x`` to the range 0 to ``width - pixel_offset``.

    Args:
        boxes: corners in pixels, with any leading dimensions.
        image_size: ``(width, height)``.
        pixel_offset: box convention, see the module docstring.
    """
    return clip_batch(boxes[None], [image_size], pixel_offset)[0]


def clip_batch(
    boxes: Tensor, image_sizes: Sequence[tuple[int, int]], pixel_offset: float
) -> Tensor:
    """Clip the boxes ``[N, ..., 4]`` of N images, see ``clip_boxes``."""
    far = [[width - pixel_offset, height - pixel_offset] * 2 for width, height in image_sizes]
    limits = boxes.new_tensor(far).reshape(-1, *[1] * (boxes.ndim - 2), 4)
    return boxes.clamp(min=0).minimum(limits)
