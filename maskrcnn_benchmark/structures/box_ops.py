"""Geometry of ``[N, 4]`` tensors of boxes ``x1, y1, x2, y2`` in pixels.

This is the one home of the box convention. Boxes are inclusive: a box of one pixel has
``x1 == x2``, so widths and heights are ``x2 - x1 + PIXEL_OFFSET`` (Detectron's legacy, kept
since trained weights depend on it).
"""

from __future__ import annotations

import torch
from torch import Tensor

PIXEL_OFFSET = 1


def box_sizes(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Return widths ``[N]`` and heights ``[N]`` in pixels of boxes ``[N, 4]``."""
    x1, y1, x2, y2 = boxes.unbind(dim=-1)
    return x2 - x1 + PIXEL_OFFSET, y2 - y1 + PIXEL_OFFSET


def box_area(boxes: Tensor) -> Tensor:
    """Return the areas ``[N]`` in square pixels of boxes ``[N, 4]``."""
    widths, heights = box_sizes(boxes)
    return widths * heights


def box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """Return the IoU ``[N, M]`` of each of ``boxes1 [N, 4]`` with each of ``boxes2 [M, 4]``."""
    # axis by axis: [N, M, 2] would double the memory where hundreds of objects meet all anchors
    overlap = _overlap(boxes1[:, 0::2], boxes2[:, 0::2]).mul_(
        _overlap(boxes1[:, 1::2], boxes2[:, 1::2])
    )
    return overlap / (box_area(boxes1)[:, None] + box_area(boxes2)[None, :] - overlap)


def _overlap(ends1: Tensor, ends2: Tensor) -> Tensor:
    """Return the lengths ``[N, M]`` that intervals ``[N, 2]`` and ``[M, 2]`` have in common."""
    low = torch.maximum(ends1[:, None, 0], ends2[None, :, 0])
    high = torch.minimum(ends1[:, None, 1], ends2[None, :, 1])
    return high.sub_(low).add_(PIXEL_OFFSET).clamp_(min=0)


def clip_boxes(boxes: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Move boxes ``[..., 4]`` into ``[0, width - 1] x [0, height - 1]``.

    Args:
        boxes: corners in pixels; any leading shape.
        image_size: ``(width, height)``.
    """
    width, height = image_size
    limits = [width - PIXEL_OFFSET, height - PIXEL_OFFSET] * 2
    low = boxes.new_zeros(4)
    return torch.clamp(boxes, min=low, max=boxes.new_tensor(limits))
