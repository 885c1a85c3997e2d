"""Non-maximum suppression.

Boxes are x1, y1, x2, y2 in pixels. By default both ends belong to a box, which is x2 - x1 + 1 wide;
`pixel_offset` is that 1, and 0 for boxes in continuous coordinates.
"""

import torch
from torch import Tensor

from maskrcnn_benchmark.layers import _fallback, _ops
from maskrcnn_benchmark.layers._checks import check_max_keep, check_scored_boxes, check_shape


def nms(
    boxes: Tensor,
    scores: Tensor,
    threshold: float,
    *,
    max_keep: int = 0,
    pixel_offset: float = 1.0,
) -> Tensor:
    """Drop every box that overlaps a better one that is kept.

    Args:
        boxes: [N, 4], floating.
        scores: [N], floating; equal scores keep the order of the boxes. NaN is the lowest score.
        threshold: a box goes when its IoU with a kept one is above this; <= 0 suppresses nothing.
        max_keep: the best that are kept at most, 0 for all; the work ends when they are found.
        pixel_offset: width of a box with x1 == x2.

    Returns:
        Indices of the kept boxes, int64, by descending score.

    Raises:
        ValueError: shapes, dtypes or devices do not fit, the threshold is NaN, or max_keep < 0.
    """
    check_shape("nms", "scores", scores, ("N",))
    groups = torch.zeros(scores.shape, dtype=torch.int64, device=scores.device)
    _check(boxes, scores, groups, threshold, max_keep)
    order = sort_scores(scores)
    return order[_keep(boxes[order], groups, (threshold, pixel_offset, max_keep))]


def batched_nms(
    boxes: Tensor,
    scores: Tensor,
    groups: Tensor,
    threshold: float,
    *,
    max_keep: int = 0,
    pixel_offset: float = 1.0,
) -> Tensor:
    """Do `nms` in every group on its own, all groups in one call.

    Args:
        boxes: [N, 4], floating.
        scores: [N], floating.
        groups: [N] integers: the class, level or image of each box, in any order.
        threshold: as in `nms`.
        max_keep: as in `nms`, of each group.
        pixel_offset: as in `nms`.

    Returns:
        Indices of the kept boxes of all groups, int64, by descending score: the best M over all
        groups are the first M.

    Raises:
        ValueError: shapes, dtypes or devices do not fit, the threshold is NaN, or max_keep < 0.
    """
    _check(boxes, scores, groups, threshold, max_keep)
    by_score = sort_scores(scores)
    order = sort_groups(by_score, groups)
    in_order = _keep(boxes[order], groups[order], (threshold, pixel_offset, max_keep))
    keep = torch.empty_like(in_order).scatter(0, order, in_order)
    return by_score[keep[by_score]]


def _check(boxes: Tensor, scores: Tensor, groups: Tensor, threshold: float, max_keep: int) -> None:
    check_scored_boxes("nms", boxes, scores, groups)
    check_max_keep("nms", max_keep)
    if threshold != threshold:
        raise ValueError("nms: expected threshold to be a number, got nan")


def _keep(boxes: Tensor, groups: Tensor, limits: tuple[float, float, int]) -> Tensor:
    """Return which boxes are kept, bool [N]; they come in the order (group, descending score).

    The limits are the threshold, the pixel offset and the number to keep of each group.
    """
    operator = torch.ops.maskrcnn_benchmark.nms if _ops.serves(boxes) else _fallback.nms
    return operator(boxes.detach(), groups, *limits)


def sort_scores(scores: Tensor) -> Tensor:
    """Return indices [N] by descending score, NaN last, equal scores in their order."""
    # torch's sort takes NaN for the highest score
    scores = scores.detach().masked_fill(scores.isnan(), -torch.inf)
    return scores.sort(descending=True, stable=True).indices


def sort_groups(by_score: Tensor, groups: Tensor) -> Tensor:
    """Return the indices ``by_score`` by (group, descending score)."""
    return by_score[groups[by_score].sort(stable=True).indices]
