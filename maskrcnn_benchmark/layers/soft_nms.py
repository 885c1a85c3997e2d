"""Soft-NMS (Bodla et al., ICCV 2017): overlapping boxes lose score instead of being dropped."""

from dataclasses import dataclass

import torch
from torch import Tensor

from maskrcnn_benchmark.layers import _fallback, _ops
from maskrcnn_benchmark.layers._checks import check_scored_boxes, check_shape
from maskrcnn_benchmark.layers.nms import sort_boxes

METHODS = ("linear", "gaussian")


@dataclass(frozen=True)
class SoftNMS:
    """How much score a box loses to a better one that it overlaps by an IoU of o.

    Attributes:
        method: "linear" multiplies by 1 - o where o >= ``threshold`` (eq. 1 of the paper),
            "gaussian" by exp(-o^2 / ``sigma``) (eq. 3).
        threshold: see above.
        sigma: see above.
        min_score: what falls below it is dropped.

    Raises:
        ValueError: the method is unknown, or sigma is not positive.
    """

    method: str = "linear"
    threshold: float = 0.5
    sigma: float = 0.5
    min_score: float = 0.001

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"soft_nms: method {self.method!r} must be one of {METHODS}")
        if self.sigma <= 0:
            raise ValueError(f"soft_nms: sigma {self.sigma} must be positive")


def soft_nms(
    boxes: Tensor, scores: Tensor, rule: SoftNMS, *, pixel_offset: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Lower the score of every box that overlaps a better one.

    The box of the highest score is picked and lowers the scores of the rest, of which the highest
    is picked next, and so on.

    Args:
        boxes: [N, 4], floating.
        scores: [N]; of equal scores the box that comes first is picked first. NaN is dropped.
        rule: see ``SoftNMS``.
        pixel_offset: width of a box with x1 == x2.

    Returns:
        Indices of the boxes that are not dropped, int64 [M], and their new scores [M], in the
        order of being picked: by descending new score.

    Raises:
        ValueError: shapes, dtypes or devices do not fit.
    """
    check_shape("soft_nms", "scores", scores, ("N",))
    groups = torch.zeros_like(scores, dtype=torch.int64)
    return batched_soft_nms(boxes, scores, groups, rule, pixel_offset=pixel_offset)


def batched_soft_nms(
    boxes: Tensor, scores: Tensor, groups: Tensor, rule: SoftNMS, *, pixel_offset: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Do `soft_nms` in every group on its own, all groups in one call.

    Args:
        boxes: [N, 4], floating.
        scores: [N].
        groups: [N] integers: the class, level or image of each box, in any order.
        rule: see ``SoftNMS``.
        pixel_offset: as in `soft_nms`.

    Returns:
        Indices int64 [M] of all groups and new scores [M], by descending new score.

    Raises:
        ValueError: shapes, dtypes or devices do not fit.
    """
    check_scored_boxes("soft_nms", boxes, scores, groups)
    by_score, order = sort_boxes(scores, groups)
    gaussian = rule.method == "gaussian"
    parameter = rule.sigma if gaussian else rule.threshold
    operator = torch.ops.maskrcnn_benchmark.soft_nms if _ops.serves(boxes) else _fallback.soft_nms
    lowered_in_order = operator(
        boxes.detach()[order],
        scores.detach()[order],
        groups[order],
        gaussian,
        parameter,
        min_score=rule.min_score,
        pixel_offset=pixel_offset,
    )
    lowered = torch.empty_like(lowered_in_order).scatter(0, order, lowered_in_order)
    by_lowered = by_score[lowered[by_score].sort(descending=True, stable=True).indices]
    kept = by_lowered[lowered[by_lowered] >= rule.min_score]
    return kept, lowered[kept].to(scores.dtype)
