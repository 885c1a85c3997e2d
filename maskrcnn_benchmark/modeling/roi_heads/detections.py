"""Select the detections of an image from the classified boxes.

Shapes: R ROIs of the image, K classes with background.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from yacs.config import CfgNode

from maskrcnn_benchmark.layers import SoftNMS, batched_nms_mask, batched_soft_nms
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.box_ops import box_sizes, clip_boxes
from maskrcnn_benchmark.structures.fields import LABELS, SCORES


@dataclass(frozen=True)
class DetectionLimits:
    """Criteria for detections, see ``MODEL.ROI_HEADS``.

    Attributes:
        score_thresh: boxes with a class score at or below it are dropped.
        nms: IoU threshold of the NMS within a class.
        detections_per_img: maximum number of detections per image; 0 for no limit.
        min_size: boxes with a smaller side in pixels, after clipping to the image, are dropped.
        soft_nms: Soft-NMS to use instead of NMS; None for NMS.
    """

    score_thresh: float
    nms: float
    detections_per_img: int
    min_size: float = 0.0
    soft_nms: SoftNMS | None = None


def select_detections(
    boxes: Tensor,
    scores: Tensor,
    image_size: tuple[int, int],
    limits: DetectionLimits,
    *,
    pixel_offset: float,
) -> BoxList:
    """Return the detections of one image, grouped by class, with ``scores`` and ``labels``.

    Args:
        boxes: corners ``[R, K, 4]``, one box per ROI and class.
        scores: probabilities ``[R, K]``; class 0 is background.
        image_size: ``(width, height)``; boxes are clipped to it.
        limits: see ``DetectionLimits``. Boxes that tie with the last one within the limit are kept
            as well. With Soft-NMS, ``scores`` are the lowered scores, which also decide which
            detections are kept.
        pixel_offset: box convention (``box_ops``).
    """
    boxes = clip_boxes(boxes, image_size, pixel_offset)
    return filter_detections(boxes, scores, image_size, limits, pixel_offset=pixel_offset)


def filter_detections(
    boxes: Tensor,
    scores: Tensor,
    image_size: tuple[int, int],
    limits: DetectionLimits,
    *,
    pixel_offset: float,
) -> BoxList:
    """Return the same as ``select_detections``, of boxes that are not clipped here."""
    # NaN scores and boxes fail these comparisons, so a diverged model detects nothing
    wanted = (limits.score_thresh < scores[:, 1:]) & ~boxes[:, 1:].isnan().any(dim=2)
    if limits.min_size > 0:
        widths, heights = box_sizes(boxes[:, 1:], pixel_offset)
        wanted &= (widths >= limits.min_size) & (heights >= limits.min_size)
    classes, rows = wanted.T.nonzero(as_tuple=True)
    labels = classes + 1
    boxes, scores = boxes[rows, labels], scores[rows, labels]
    if limits.soft_nms is None:
        keep = batched_nms_mask(boxes, scores, labels, limits.nms, pixel_offset=pixel_offset)
    else:
        found, lowered = batched_soft_nms(
            boxes, scores, labels, limits.soft_nms, pixel_offset=pixel_offset
        )
        scores = scores.index_copy(0, found, lowered)
        keep = torch.zeros_like(labels, dtype=torch.bool).index_fill(0, found, True)
    if len(scores) > limits.detections_per_img > 0:
        kept_scores = scores.masked_fill(~keep, -torch.inf)
        keep &= kept_scores >= kept_scores.topk(limits.detections_per_img).values[-1]
    (rows,) = keep.nonzero(as_tuple=True)
    detections = BoxList(boxes[rows], image_size, pixel_offset=pixel_offset)
    detections.add_field(SCORES, scores[rows])
    detections.add_field(LABELS, labels[rows])
    return detections


def make_soft_nms(cfg: CfgNode) -> SoftNMS | None:
    """Return the Soft-NMS of ``MODEL.ROI_HEADS.SOFT_NMS``, or None if it is off."""
    options = cfg.MODEL.ROI_HEADS.SOFT_NMS
    if not options.ENABLED:
        return None
    return SoftNMS(options.METHOD, cfg.MODEL.ROI_HEADS.NMS, options.SIGMA, options.MIN_SCORE)


def make_detection_limits(cfg: CfgNode) -> DetectionLimits:
    """Return the limits of ``MODEL.ROI_HEADS``."""
    options = cfg.MODEL.ROI_HEADS
    return DetectionLimits(
        options.SCORE_THRESH,
        options.NMS,
        options.DETECTIONS_PER_IMG,
        options.MIN_SIZE,
        make_soft_nms(cfg),
    )
