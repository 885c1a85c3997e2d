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
    corner1 = torch.maximum(boxes1[:, None, :2], boxes2[None, :, :2])  # [N, M, 2]
    corner2 = torch.minimum(boxes1[:, None, 2:], boxes2[None, :, 2:])
    overlap = (corner2 - corner1 + PIXEL_OFFSET).clamp(min=0).prod(dim=2)
    return overlap / (box_area(boxes1)[:, None] + box_area(boxes2)[None, :] - overlap)


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
