"""Box head: the class and the refined box of each ROI (Fast R-CNN, FPN).

Letters: R ROIs of the batch, K classes with background, C channels, P pooled side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from yacs.config import CfgNode

from maskrcnn_benchmark.layers import (
    SoftNMS,
    batched_nms,
    batched_soft_nms,
    full_precision,
    smooth_l1_loss,
)
from maskrcnn_benchmark.modeling.box_coder import BoxCoder, make_box_coder
from maskrcnn_benchmark.modeling.roi_heads.feature_extractors import (
    BoxFeatureExtractor,
    build_box_feature_extractor,
)
from maskrcnn_benchmark.modeling.roi_heads.sampling import SampledProposals
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.box_ops import box_sizes, clip_boxes
from maskrcnn_benchmark.structures.fields import LABELS, SCORES


class FPNPredictor(nn.Module):
    """Class logits and, for each class, box offsets."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.cls_score = nn.Linear(in_channels, num_classes)
        self.bbox_pred = nn.Linear(in_channels, num_classes * 4)
        nn.init.normal_(self.cls_score.weight, std=0.01)
        nn.init.normal_(self.bbox_pred.weight, std=0.001)
        for layer in (self.cls_score, self.bbox_pred):
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits ``[R, K]`` and offsets ``[R, 4K]`` of features ``[R, C]``."""
        return self.cls_score(x), self.bbox_pred(x)


class FastRCNNPredictor(FPNPredictor):
    """The same on feature maps, which it averages over their cells."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits ``[R, K]`` and offsets ``[R, 4K]`` of features ``[R, C, P, P]``."""
        return super().forward(x.mean(dim=(2, 3)))


PREDICTORS = {"FPNPredictor": FPNPredictor, "FastRCNNPredictor": FastRCNNPredictor}


@dataclass(frozen=True)
class BoxOutput:
    """What the box head says of R ROIs.

    Attributes:
        logits: ``[R, K]``.
        deltas: ``[R, 4K]``, offsets for each class.
        pooled: ``[R, C, P, P]``, the pooled features.
        features: ``[R, ...]``, those of the feature extractor.
    """

    logits: Tensor
    deltas: Tensor
    pooled: Tensor
    features: Tensor


def box_losses(
    logits: Tensor, deltas: Tensor, labels: Tensor, regression_targets: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the classification loss and the box loss.

    Cross-entropy, and smooth L1 (beta 1) of the offsets at the label of the positive ROIs; both
    are sums divided by the number of ROIs (Fast R-CNN, eq. 1).

    Args:
        logits: ``[R, K]``.
        deltas: ``[R, 4K]``, offsets for each class.
        labels: int64 ``[R]``, 0 for background.
        regression_targets: ``[R, 4]``.
    """
    count = max(len(labels), 1)
    loss_classifier = F.cross_entropy(logits, labels, reduction="sum") / count
    positive = (labels > 0).nonzero().flatten()
    deltas = deltas.unflatten(1, (-1, 4))[positive, labels[positive]]
    loss_box = smooth_l1_loss(deltas, regression_targets[positive], beta=1.0, size_average=False)
    return loss_classifier, loss_box / count


@dataclass(frozen=True)
class DetectionLimits:
    """Which boxes become detections: ``MODEL.ROI_HEADS``.

    Attributes:
        score_thresh: class scores must be above it.
        nms: boxes of one class that overlap by more are suppressed.
        detections_per_img: the best of an image that stay; 0 for all.
        min_size: boxes (clipped to the image) with a smaller side in pixels are dropped.
        soft_nms: lowers the scores of boxes of one class that overlap, instead of NMS.
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
        boxes: corners ``[R, K, 4]`` of each ROI for each class.
        scores: probabilities ``[R, K]``; class 0 is background.
        image_size: ``(width, height)``; boxes are clipped to it.
        limits: see ``DetectionLimits``. Boxes that tie with the last one allowed stay too. With
            Soft-NMS ``scores`` are the lowered ones, and the best of an image are chosen by them.
        pixel_offset: convention of the boxes (``box_ops``).
    """
    boxes = clip_boxes(boxes, image_size, pixel_offset)
    # NaN is not above the threshold, and no box: diverged numbers detect nothing
    wanted = (limits.score_thresh < scores[:, 1:]) & ~boxes[:, 1:].isnan().any(dim=2)
    if limits.min_size > 0:
        widths, heights = box_sizes(boxes[:, 1:], pixel_offset)
        wanted &= (widths >= limits.min_size) & (heights >= limits.min_size)
    classes, rows = wanted.T.nonzero(as_tuple=True)
    labels = classes + 1
    boxes, scores = boxes[rows, labels], scores[rows, labels]
    if limits.soft_nms is None:
        keep = batched_nms(boxes, scores, labels, limits.nms, pixel_offset=pixel_offset)
    else:
        keep, lowered = batched_soft_nms(
            boxes, scores, labels, limits.soft_nms, pixel_offset=pixel_offset
        )
        scores = scores.index_copy(0, keep, lowered)
    keep = keep.sort().values
    if len(keep) > limits.detections_per_img > 0:
        kept_scores = scores[keep]
        last = kept_scores.topk(limits.detections_per_img).values[-1]
        keep = keep[kept_scores >= last]
    detections = BoxList(boxes[keep], image_size, pixel_offset=pixel_offset)
    detections.add_field(SCORES, scores[keep])
    detections.add_field(LABELS, labels[keep])
    return detections


class ROIBoxHead(nn.Module):
    """Features, prediction, losses and detections.

    Args:
        feature_extractor: pools boxes into features.
        predictor: features to class logits and offsets.
        box_coder: encodes and decodes offsets.
        limits: which boxes become detections.
    """

    def __init__(
        self,
        feature_extractor: BoxFeatureExtractor,
        predictor: FPNPredictor,
        *,
        box_coder: BoxCoder,
        limits: DetectionLimits,
    ) -> None:
        super().__init__()
        self.feature_extractor = feature_extractor
        self.predictor = predictor
        self.box_coder = box_coder
        self.limits = limits

    def forward(self, features: Sequence[Tensor], boxes: Sequence[BoxList]) -> BoxOutput:
        """Classify and refine the boxes of each image."""
        pooled, x = self.feature_extractor(features, boxes)
        logits, deltas = self.predictor(x)
        return BoxOutput(full_precision(logits), full_precision(deltas), pooled, x)

    def losses(self, output: BoxOutput, sampled: SampledProposals) -> dict[str, Tensor]:
        """Return ``loss_classifier`` and ``loss_box_reg`` of the sampled proposals."""
        proposals = torch.cat([b.bbox for b in sampled.boxes])
        targets = self.box_coder.encode(torch.cat(sampled.gt_boxes), proposals)
        labels = sampled.all_labels()
        loss_classifier, loss_box = box_losses(output.logits, output.deltas, labels, targets)
        return {"loss_classifier": loss_classifier, "loss_box_reg": loss_box}

    def detections(self, output: BoxOutput, boxes: Sequence[BoxList]) -> list[BoxList]:
        """Return the detections of each image (``select_detections``)."""
        scores = output.logits.softmax(dim=1)
        decoded = self.box_coder.decode(output.deltas, torch.cat([b.bbox for b in boxes]))
        decoded = decoded.unflatten(1, (-1, 4))
        counts = [len(b) for b in boxes]
        return [
            select_detections(
                image_boxes,
                image_scores,
                proposals.size,
                self.limits,
                pixel_offset=self.box_coder.pixel_offset,
            )
            for image_boxes, image_scores, proposals in zip(
                decoded.split(counts), scores.split(counts), boxes, strict=True
            )
        ]


def build_box_head(cfg: CfgNode, in_channels: int) -> ROIBoxHead:
    """Build ``MODEL.ROI_BOX_HEAD`` over feature maps of ``in_channels``."""
    extractor = build_box_feature_extractor(cfg, in_channels)
    options = cfg.MODEL.ROI_HEADS
    predictor = PREDICTORS[cfg.MODEL.ROI_BOX_HEAD.PREDICTOR]
    return ROIBoxHead(
        extractor,
        predictor(extractor.out_channels, cfg.MODEL.ROI_BOX_HEAD.NUM_CLASSES),
        box_coder=make_box_coder(cfg, options.BBOX_REG_WEIGHTS),
        limits=DetectionLimits(
            options.SCORE_THRESH,
            options.NMS,
            options.DETECTIONS_PER_IMG,
            options.MIN_SIZE,
            make_soft_nms(cfg),
        ),
    )


def make_soft_nms(cfg: CfgNode) -> SoftNMS | None:
    """Return the rule of ``MODEL.ROI_HEADS.SOFT_NMS``, None where it is off."""
    options = cfg.MODEL.ROI_HEADS.SOFT_NMS
    if not options.ENABLED:
        return None
    return SoftNMS(options.METHOD, cfg.MODEL.ROI_HEADS.NMS, options.SIGMA, options.MIN_SCORE)
