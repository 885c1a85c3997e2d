"""Soft-NMS (Bodla et al., ICCV 2017): lower the scores of overlapping boxes."""

from dataclasses import dataclass

import torch
from torch import Tensor

from maskrcnn_benchmark.layers import _fallback, _ops
from maskrcnn_benchmark.layers._checks import check_max_keep, check_scored_boxes, check_shape
from maskrcnn_benchmark.layers.nms import sort_groups, sort_scores

METHODS = ("linear", "gaussian")


@dataclass(frozen=True)
class SoftNMS:
    """Options of Soft-NMS, where o is the IoU of a box with a box of higher score.

    Attributes:
        method: ``"linear"`` multiplies the score by ``1 - o`` if ``o >= threshold`` (eq. 1),
            ``"gaussian"`` by ``exp(-o^2 / sigma)`` (eq. 3).
        threshold: IoU threshold of the linear method.
        sigma: width of the Gaussian.
        min_score: boxes with a lower resulting score are dropped.

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
    boxes: Tensor,
    scores: Tensor,
    rule: SoftNMS,
    *,
    max_keep: int = 0,
    pixel_offset: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Lower the score of every box that overlaps a box with a higher score.

    The box with the highest score is picked and lowers the scores of the others; then the box with
    the highest remaining score is picked, and so on.

    Args:
        boxes: floating-point ``[N, 4]``.
        scores: floating-point ``[N]``. Ties of lowered scores are broken by the original scores,
            then by the order of the boxes. Boxes with score NaN are dropped.
        rule: see ``SoftNMS``.
        max_keep: maximum number of boxes to pick, 0 for no limit; the search stops there.
        pixel_offset: width of a box with ``x1 == x2``.

    Returns:
        Indices of the kept boxes, int64 ``[M]``, and their lowered scores ``[M]``, both in
        descending order of lowered score.

    Raises:
        ValueError: shapes, dtypes or devices do not fit, or max_keep < 0.
    """
    check_shape("soft_nms", "scores", scores, ("N",))
    groups = torch.zeros(scores.shape, dtype=torch.int64, device=scores.device)
    return batched_soft_nms(
        boxes, scores, groups, rule, max_keep=max_keep, pixel_offset=pixel_offset
    )


def batched_soft_nms(
    boxes: Tensor,
    scores: Tensor,
    groups: Tensor,
    rule: SoftNMS,
    *,
    max_keep: int = 0,
    pixel_offset: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Apply ``soft_nms`` to each group independently, in one call.

    Args:
        boxes: floating-point ``[N, 4]``.
        scores: floating-point ``[N]``.
        groups: integers ``[N]``, the class, level or image of each box, in any order.
        rule: see ``SoftNMS``.
        max_keep: as in ``soft_nms``, per group.
        pixel_offset: as in ``soft_nms``.

    Returns:
        Indices of the kept boxes of all groups, int64 ``[M]``, and their lowered scores ``[M]``,
        both in descending order of lowered score.

    Raises:
        ValueError: shapes, dtypes or devices do not fit, or max_keep < 0.
    """
    check_scored_boxes("soft_nms", boxes, scores, groups)
    check_max_keep("soft_nms", max_keep)
    by_score = sort_scores(scores)
    order = sort_groups(by_score, groups)
    gaussian = rule.method == "gaussian"
    parameter = rule.sigma if gaussian else rule.threshold
    operator = torch.ops.maskrcnn_benchmark.soft_nms if _ops.serves(boxes) else _fallback.soft_nms
    lowered_in_order, keep_in_order = operator(
        boxes.detach()[order],
        scores.detach()[order],
        groups[order],
        gaussian,
        parameter,
        min_score=rule.min_score,
        pixel_offset=pixel_offset,
        max_keep=max_keep,
    )
    lowered = torch.empty_like(lowered_in_order).scatter(0, order, lowered_in_order)
    keep = torch.empty_like(keep_in_order).scatter(0, order, keep_in_order)
    kept = by_score[keep[by_score]]
    new_scores, by_new_score = lowered[kept].sort(descending=True, stable=True)
    return kept[by_new_score], new_scores.to(scores.dtype)
