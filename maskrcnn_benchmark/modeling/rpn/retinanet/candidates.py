"""Select the detections of RetinaNet from its best pairs of anchor and class.

Shapes: N images, k candidates of each.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from maskrcnn_benchmark.layers import batched_nms
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.fields import LABELS, SCORES


@dataclass(frozen=True)
class CandidateLimits:
    """Criteria for detections, see ``MODEL.RETINANET`` and ``TEST.DETECTIONS_PER_IMG``.

    Attributes:
        score_thresh: pairs of anchor and class with a score at or below it are dropped.
        pre_nms_top_n: maximum number of such pairs per level and image.
        nms: IoU threshold of the NMS within a class.
        detections_per_img: maximum number of detections per image; 0 for no limit. Those that tie
            with the last one are kept as well.
    """

    score_thresh: float
    pre_nms_top_n: int
    nms: float
    detections_per_img: int


@dataclass(frozen=True)
class Candidates:
    """Scored boxes of N images before the NMS.

    Attributes:
        boxes: corners ``[N, k, 4]``, clipped to the image.
        scores: ``[N, k]``, the probability of the class; 0 where the model gave NaN.
        labels: int64 ``[N, k]``, the class, from 1.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor


def select_candidates(
    candidates: Candidates,
    sizes: Sequence[tuple[int, int]],
    limits: CandidateLimits,
    *,
    pixel_offset: float,
) -> list[BoxList]:
    """Return the detections of each image with ``scores`` and ``labels``.

    Args:
        candidates: boxes of N images.
        sizes: ``(width, height)`` of each image.
        limits: see ``CandidateLimits``.
        pixel_offset: box convention (``box_ops``).
    """
    is_number = ~candidates.boxes.isnan().any(dim=2)
    chosen = ((candidates.scores > limits.score_thresh) & is_number).flatten().nonzero().flatten()
    images = chosen // max(candidates.scores.shape[1], 1)
    boxes = candidates.boxes.flatten(0, 1)[chosen]
    scores, labels = candidates.scores.flatten()[chosen], candidates.labels.flatten()[chosen]
    groups = labels * len(sizes) + images
    keep = batched_nms(boxes, scores, groups, limits.nms, pixel_offset=pixel_offset).sort().values
    ends = torch.arange(1, len(sizes), device=keep.device)
    parts = keep.tensor_split(torch.searchsorted(images[keep], ends).tolist())
    detections = []
    for part, size in zip(parts, sizes, strict=True):
        if len(part) > limits.detections_per_img > 0:
            last = scores[part].topk(limits.detections_per_img).values[-1]
            part = part[scores[part] >= last]  # noqa: PLW2901
        found = BoxList(boxes[part], size, pixel_offset=pixel_offset)
        found.add_field(SCORES, scores[part])
        found.add_field(LABELS, labels[part])
        detections.append(found)
    return detections
