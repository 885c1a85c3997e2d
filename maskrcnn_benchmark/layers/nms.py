"""Non-maximum suppression.

Boxes are x1, y1, x2, y2 in pixels. By default both ends belong to a box, which is x2 - x1 + 1 wide;
`pixel_offset` is that 1, and 0 for boxes in continuous coordinates.
"""

import torch
from torch import Tensor

from maskrcnn_benchmark.layers import _fallback, _ops
from maskrcnn_benchmark.layers._checks import check_scored_boxes, check_shape


def nms(boxes: Tensor, scores: Tensor, threshold: float, *, pixel_offset: float = 1.0) -> Tensor:
    """Drop every box that overlaps a better one that is kept.

    Args:
        boxes: [N, 4], floating.
        scores: [N]; equal scores keep the order of the boxes. NaN is the lowest score.
        threshold: a box goes when its IoU with a kept one is above this; <= 0 drops nothing.
        pixel_offset: width of a box with x1 == x2.

    Returns:
        Indices of the kept boxes, int64, by descending score.

    Raises:
        ValueError: shapes, dtypes or devices do not fit.
    """
    check_shape("nms", "scores", scores, ("N",))
    groups = torch.zeros_like(scores, dtype=torch.int64)
    return batched_nms(boxes, scores, groups, threshold, pixel_offset=pixel_offset)


def batched_nms(
    boxes: Tensor, scores: Tensor, groups: Tensor, threshold: float, *, pixel_offset: float = 1.0
) -> Tensor:
    """Do `nms` in every group on its own, all groups in one call.

    Args:
        boxes: [N, 4], floating.
        scores: [N].
        groups: [N] integers: the class, level or image of each box, in any order.
        threshold: as in `nms`.
        pixel_offset: as in `nms`.

    Returns:
        Indices of the kept boxes of all groups, int64, by descending score.

    Raises:
        ValueError: shapes, dtypes or devices do not fit.
    """
    check_scored_boxes("nms", boxes, scores, groups)
    by_score, order = sort_boxes(scores, groups)
    if threshold <= 0:
        return by_score
    operator = torch.ops.maskrcnn_benchmark.nms if _ops.serves(boxes) else _fallback.nms
    kept_in_order = operator(boxes.detach()[order], groups[order], threshold, pixel_offset)
    kept = torch.empty_like(kept_in_order).scatter(0, order, kept_in_order)
    return by_score[kept[by_score]]


def sort_boxes(scores: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
    """Return indices [N] by descending score, NaN last, and by (group, descending score)."""
    # torch's sort takes NaN for the highest score
    scores = scores.masked_fill(scores.isnan(), -torch.inf)
    by_score = scores.sort(descending=True, stable=True).indices
    return by_score, by_score[groups[by_score].sort(stable=True).indices]
