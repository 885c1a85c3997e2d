"""Select proposals from the output of the RPN.

Shapes: N images, L levels, A anchors per cell, K anchors of one level or of all levels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from maskrcnn_benchmark.layers import batched_nms
from maskrcnn_benchmark.modeling.box_coder import BoxCoder
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.box_ops import box_sizes, clip_boxes
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
    levels = list(zip(output.flat_objectness(), output.flat_deltas(), output.anchors, strict=True))
    candidates = [_decode_best(*level, limits.pre_nms_top_n, box_coder) for level in levels]
    offset = box_coder.pixel_offset
    decoded = torch.cat([boxes for boxes, _ in candidates], dim=1)  # [N, K, 4], level by level
    scores = torch.cat([scores for _, scores in candidates], dim=1)
    sizes = [(width, height) for height, width in image_sizes]
    clipped = [clip_boxes(b, size, offset) for b, size in zip(decoded, sizes, strict=True)]
    boxes = torch.stack(clipped)
    widths, heights = box_sizes(boxes, offset)
    large = (widths >= min_size) & (heights >= min_size)  # False for NaN
    large = (large & (scores > _NO_SCORE)).flatten().nonzero().flatten()
    groups = _groups([s.shape[1] for _, s in candidates], len(sizes), device=boxes.device)
    per_image = boxes.shape[1]
    boxes, scores = boxes.flatten(0, 1), scores.flatten()
    kept = batched_nms(
        boxes[large],
        scores[large],
        groups[large],
        nms_thresh,
        max_keep=limits.post_nms_top_n,
        pixel_offset=offset,
    )
    kept = large[kept.sort().values]
    ends = torch.arange(1, len(sizes), device=kept.device) * per_image
    proposals = []
    parts = kept.tensor_split(torch.searchsorted(kept, ends).tolist())
    for part, size in zip(parts, sizes, strict=True):
        boxlist = BoxList(boxes[part], size, pixel_offset=offset)
        boxlist.add_field(OBJECTNESS, scores[part])
        proposals.append(boxlist)
    if len(levels) == 1:
        return proposals
    if limits.per_batch:
        return _best_of_batch(proposals, limits.fpn_post_nms_top_n)
    return [_best_of_image(p, limits.fpn_post_nms_top_n) for p in proposals]


def _decode_best(
    objectness: Tensor, deltas: Tensor, anchors: Tensor, top_n: int, box_coder: BoxCoder
) -> tuple[Tensor, Tensor]:
    """Return boxes ``[N, k, 4]`` and scores ``[N, k]`` of the k best anchors, sorted by score."""
    scores = objectness.sigmoid().nan_to_num(nan=_NO_SCORE)  # NaN would sort first
    scores, order = scores.topk(min(top_n, objectness.shape[1]), dim=1)
    chosen = deltas.gather(1, order[..., None].expand(-1, -1, 4))
    boxes = box_coder.decode(chosen.reshape(-1, 4), anchors[order].reshape(-1, 4))
    return boxes.reshape(chosen.shape), scores


def _groups(counts: list[int], num_images: int, *, device: torch.device) -> Tensor:
    """Return the group index ``[N * K]`` of each box; ``counts`` are the boxes per level."""
    sizes = torch.tensor(counts * num_images, device=device)
    return torch.arange(len(sizes), device=device).repeat_interleave(
        sizes, output_size=sum(counts) * num_images
    )


def _best_of_batch(proposals: list[BoxList], top_n: int) -> list[BoxList]:
    """Keep the ``top_n`` best proposals of the batch, in their original order."""
    counts = [len(p) for p in proposals]
    scores = torch.cat([p.get_field(OBJECTNESS) for p in proposals])
    best = scores.topk(min(top_n, len(scores))).indices
    keep = torch.zeros(len(scores), dtype=torch.bool, device=scores.device)
    keep[best] = True
    return [p[k] for p, k in zip(proposals, keep.split(counts), strict=True)]


def _best_of_image(proposals: BoxList, top_n: int) -> BoxList:
    """Keep the ``top_n`` best proposals, sorted by score."""
    scores = proposals.get_field(OBJECTNESS)
    return proposals[scores.topk(min(top_n, len(scores))).indices]
