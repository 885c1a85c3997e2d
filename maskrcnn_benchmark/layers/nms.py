"""Non-maximum suppression.

Boxes are ``x1, y1, x2, y2`` in pixels, and their width is ``x2 - x1 + pixel_offset``: 1, the
default, for inclusive boxes, and 0 for continuous coordinates.
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
    """Drop every box that overlaps a kept box with a higher score.

    Args:
        boxes: floating-point ``[N, 4]``.
        scores: floating-point ``[N]``; ties keep the box order, and NaN is the lowest score.
        threshold: boxes with an IoU above it are suppressed; <= 0 suppresses nothing.
        max_keep: maximum number of boxes to keep, 0 for no limit; the search stops there.
        pixel_offset: width of a box with ``x1 == x2``.

    Returns:
        Indices of the kept boxes, int64, in descending order of score.

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
    """Apply ``nms`` to each group independently, in one call.

    Args:
        boxes: floating-point ``[N, 4]``.
        scores: floating-point ``[N]``.
        groups: integers ``[N]``, the class, level or image of each box, in any order.
        threshold: as in ``nms``.
        max_keep: as in ``nms``, per group.
        pixel_offset: as in ``nms``.

    Returns:
        Indices of the kept boxes of all groups, int64, in descending order of score.

    Raises:
        ValueError: shapes, dtypes or devices do not fit, the threshold is NaN, or max_keep < 0.
    """
    _check(boxes, scores, groups, threshold, max_keep)
    by_score = sort_scores(scores)
    keep = _keep_by_score(boxes, by_score, groups, (threshold, pixel_offset, max_keep))
    return by_score[keep[by_score]]


def batched_nms_mask(
    boxes: Tensor,
    scores: Tensor,
    groups: Tensor,
    threshold: float,
    *,
    max_keep: int = 0,
    pixel_offset: float = 1.0,
) -> Tensor:
    """Return which boxes ``batched_nms`` keeps, bool ``[N]``, without waiting for the device.

    The arguments and errors are those of ``batched_nms``.
    """
    _check(boxes, scores, groups, threshold, max_keep)
    limits = (threshold, pixel_offset, max_keep)
    return _keep_by_score(boxes, sort_scores(scores), groups, limits)


def sorted_nms_mask(
    boxes: Tensor,
    groups: Tensor,
    threshold: float,
    *,
    max_keep: int = 0,
    pixel_offset: float = 1.0,
) -> Tensor:
    """Return which boxes ``batched_nms`` keeps, of boxes that are sorted already.

    Args:
        boxes: floating-point ``[N, 4]``, by group and descending score.
        groups: integers ``[N]``, ascending.
        threshold: as in ``nms``.
        max_keep: as in ``nms``, per group.
        pixel_offset: as in ``nms``.

    Returns:
        bool ``[N]``.

    Raises:
        ValueError: shapes, dtypes or devices do not fit, the threshold is NaN, or max_keep < 0.
    """
    scores = boxes[..., 0] if isinstance(boxes, Tensor) else boxes
    _check(boxes, scores, groups, threshold, max_keep)
    return _keep(boxes, groups, (threshold, pixel_offset, max_keep))


def _check(boxes: Tensor, scores: Tensor, groups: Tensor, threshold: float, max_keep: int) -> None:
    check_scored_boxes("nms", boxes, scores, groups)
    check_max_keep("nms", max_keep)
    if threshold != threshold:
        raise ValueError("nms: expected threshold to be a number, got nan")


def _keep(boxes: Tensor, groups: Tensor, limits: tuple[float, float, int]) -> Tensor:
    """Return which boxes, sorted by group and descending score, are kept: bool ``[N]``.

    The limits are the threshold, the pixel offset and the number of boxes to keep per group.
    """
    operator = torch.ops.maskrcnn_benchmark.nms if _ops.serves(boxes) else _fallback.nms
    return operator(boxes.detach(), groups, *limits)


def _keep_by_score(
    boxes: Tensor, by_score: Tensor, groups: Tensor, limits: tuple[float, float, int]
) -> Tensor:
    """Return which boxes are kept, bool ``[N]``; ``by_score`` are their indices by score."""
    order = sort_groups(by_score, groups)
    in_order = _keep(boxes[order], groups[order], limits)
    return torch.empty_like(in_order).scatter(0, order, in_order)


def sort_scores(scores: Tensor) -> Tensor:
    """Return the indices ``[N]`` that sort the scores descending and stably, with NaN last."""
    # torch.sort treats NaN as the highest score
    scores = scores.detach().masked_fill(scores.isnan(), -torch.inf)
    return scores.sort(descending=True, stable=True).indices


def sort_groups(by_score: Tensor, groups: Tensor) -> Tensor:
    """Sort the indices ``by_score`` stably by group."""
    return by_score[groups[by_score].sort(stable=True).indices]
