"""Select proposals from the output of the RPN.

Shapes: N images, L levels, A anchors per cell, K anchors of one level or of all levels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from maskrcnn_benchmark.layers import sorted_nms_mask
from maskrcnn_benchmark.modeling.box_coder import BoxCoder
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.box_ops import box_extents, clip_batch
from maskrcnn_benchmark.structures.fields import OBJECTNESS

_NO_SCORE = -1.0  # score of an anchor whose objectness is NaN


@dataclass(frozen=True)
class RPNOutput:
    """Output of the RPN for each anchor.

    Attributes:
        objectness: logits ``[N, A, H, W]`` of each level.
        deltas: offsets ``[N, 4A, H, W]`` of each level; offset k of anchor a is channel ``4a + k``.
        anchors: corners ``[H * W * A, 4]`` of each level, shared by all images.
    """

    objectness: list[Tensor]
    deltas: list[Tensor]
    anchors: list[Tensor]

    def flat_objectness(self) -> list[Tensor]:
        """Return the logits ``[N, H * W * A]`` of each level in anchor order."""
        return [o.permute(0, 2, 3, 1).flatten(1) for o in self.objectness]

    def flat_deltas(self) -> list[Tensor]:
        """Return the offsets ``[N, H * W * A, 4]`` of each level in anchor order."""
        return [d.unflatten(1, (-1, 4)).permute(0, 3, 4, 1, 2).flatten(1, 3) for d in self.deltas]


@dataclass(frozen=True)
class ProposalLimits:
    """Limits on the number of proposals.

    Attributes:
        pre_nms_top_n: maximum number per level and image before NMS.
        post_nms_top_n: maximum number per level and image after NMS.
        fpn_post_nms_top_n: maximum number over all levels; unused if there is one level.
        per_batch: whether ``fpn_post_nms_top_n`` applies to the whole batch, as in the training of
            the original, or to each image.
    """

    pre_nms_top_n: int
    post_nms_top_n: int
    fpn_post_nms_top_n: int
    per_batch: bool


@torch.no_grad()
def select_proposals(
    output: RPNOutput,
    image_sizes: Sequence[tuple[int, int]],
    limits: ProposalLimits,
    *,
    box_coder: BoxCoder,
    nms_thresh: float,
    min_size: float,
) -> list[BoxList]:
    """Decode the best anchors, drop small and overlapping boxes, and keep the best of all levels.

    Args:
        output: see ``RPNOutput``.
        image_sizes: ``(height, width)`` of each image before padding.
        limits: see ``ProposalLimits``.
        box_coder: decodes the offsets; anchors and proposals use its box convention.
        nms_thresh: IoU threshold of the NMS within a level.
        min_size: boxes with a smaller side in pixels, after clipping to the image, are dropped.

    Returns:
        Proposals of each image with the field ``objectness``; sorted by score if the limit over
        several levels applies to each image, else grouped by level.
    """
    sizes = [(width, height) for height, width in image_sizes]
    offset = box_coder.pixel_offset
    deltas, anchors, scores, groups = _best_of_levels(output, limits.pre_nms_top_n)
    boxes = box_coder.decode(deltas.flatten(0, 1), anchors.flatten(0, 1))
    boxes = clip_batch(boxes.unflatten(0, scores.shape), sizes, offset)  # [N, K, 4]
    usable = (box_extents(boxes, offset) >= min_size).all(dim=2) & (scores > _NO_SCORE)
    # boxes that are not usable (NaN neither) come last in their level: they suppress no other
    order = (2 * groups + ~usable).sort(dim=1, stable=True).indices
    scores = scores.where(usable, _NO_SCORE).gather(1, order)
    boxes = boxes.gather(1, order[..., None].expand_as(boxes))
    kept = sorted_nms_mask(
        boxes.flatten(0, 1),
        groups.flatten(),
        nms_thresh,
        max_keep=limits.post_nms_top_n,
        pixel_offset=offset,
    )
    scores = scores.where(kept.view_as(scores), _NO_SCORE)
    best = _best_of_all(scores, limits, num_levels=len(output.anchors))
    proposals = []
    for rows, of_image, score, size in zip(best, boxes, scores, sizes, strict=True):
        boxlist = BoxList(of_image[rows], size, pixel_offset=offset)
        boxlist.add_field(OBJECTNESS, score[rows])
        proposals.append(boxlist)
    return proposals


def _best_of_levels(output: RPNOutput, top_n: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the ``top_n`` best anchors of each level and image, K in all, sorted by score.

    Returns:
        The offsets ``[N, K, 4]``, anchors ``[N, K, 4]`` and scores ``[N, K]``, level by level, and
        int64 ``[N, K]``: one number for each level of each image, in ascending order.
    """
    logits, anchors = output.flat_objectness(), output.anchors
    counts = [min(top_n, len(of_level)) for of_level in anchors]
    scores = torch.cat(logits, dim=1).sigmoid().nan_to_num(nan=_NO_SCORE)  # NaN would sort first
    best = [
        of_level.topk(count, dim=1)
        for of_level, count in zip(
            scores.split([len(a) for a in anchors], dim=1), counts, strict=True
        )
    ]
    chosen = [
        deltas.gather(1, indices[..., None].expand(-1, -1, 4))
        for deltas, (_, indices) in zip(output.flat_deltas(), best, strict=True)
    ]
    levels = torch.arange(len(logits[0]) * len(counts), device=scores.device)
    levels = levels.view(-1, len(counts))
    return (
        torch.cat(chosen, dim=1),
        torch.cat([of[indices] for of, (_, indices) in zip(anchors, best, strict=True)], dim=1),
        torch.cat([values for values, _ in best], dim=1),
        torch.cat([levels[:, i, None].expand(-1, count) for i, count in enumerate(counts)], dim=1),
    )


def _best_of_all(scores: Tensor, limits: ProposalLimits, *, num_levels: int) -> list[Tensor]:
    """Apply the limit over all levels; read from the device once, how many boxes are left.

    Args:
        scores: ``[N, K]``; ``_NO_SCORE`` for the boxes that were dropped.
        limits: see ``ProposalLimits``.
        num_levels: number of levels; one has no further limit.

    Returns:
        The indices of the chosen boxes of each image, in the order that ``select_proposals`` names.
    """
    limit = limits.fpn_post_nms_top_n if num_levels > 1 else scores.numel()
    chosen = scores > _NO_SCORE
    if limits.per_batch:
        best = scores.flatten().topk(min(limit, scores.numel())).indices
        is_best = torch.zeros_like(chosen).flatten().scatter(0, best, True)
        chosen &= is_best.view_as(chosen)
        order = chosen.sort(dim=1, descending=True, stable=True).indices
    else:
        order = scores.sort(dim=1, descending=True, stable=True).indices[:, :limit]
    return [rows[:count] for rows, count in zip(order, chosen.sum(dim=1).tolist(), strict=True)]
