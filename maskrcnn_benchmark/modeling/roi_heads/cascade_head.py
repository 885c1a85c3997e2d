"""Cascade R-CNN: box heads of rising quality, each on the boxes that the one before refined.

Cai and Vasconcelos, CVPR 2018 (arXiv 1712.00726). Stage t is trained with the boxes whose IoU with
an object is at least ``IOUS[t]``. It does not sample again: all refined boxes of the first stage's
sample are matched anew. The boxes do not depend on the class. The mask heads are those of Mask
R-CNN: in training they see the sampled proposals, at inference the final detections.

Shapes: R ROIs of the batch, K classes with background, C channels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from yacs.config import CfgNode

from maskrcnn_benchmark.modeling.box_coder import make_box_coder
from maskrcnn_benchmark.modeling.matcher import Matcher
from maskrcnn_benchmark.modeling.registry import ROI_BOX_FEATURE_EXTRACTORS, ROI_BOX_PREDICTOR
from maskrcnn_benchmark.modeling.roi_heads.box_head import BoxOutput, ROIBoxHead, check_box_head
from maskrcnn_benchmark.modeling.roi_heads.conv5_extractor import CONV5_EXTRACTOR
from maskrcnn_benchmark.modeling.roi_heads.detections import (
    DetectionLimits,
    make_detection_limits,
)
from maskrcnn_benchmark.modeling.roi_heads.sampling import SampledProposals, match_proposals
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.box_ops import clip_boxes

AVERAGES = ("probabilities", "logits")  # of the stages' class scores
PREDICTOR = "ClassAgnosticPredictor"


class ClassAgnosticPredictor(nn.Module):
    """Predict class logits and box offsets that are the same for every class."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.cls_score = nn.Linear(in_channels, num_classes)
        self.bbox_pred = nn.Linear(in_channels, 4)
        nn.init.normal_(self.cls_score.weight, std=0.01)
        nn.init.normal_(self.bbox_pred.weight, std=0.001)
        for layer in (self.cls_score, self.bbox_pred):
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits ``[R, K]`` and offsets ``[R, 4K]`` of features ``[R, C]``."""
        logits = self.cls_score(x)
        return logits, self.bbox_pred(x).repeat(1, logits.shape[1])


@dataclass(frozen=True)
class CascadeOutput:
    """Output of all stages.

    Attributes:
        stages: the output of each stage for its own boxes.
        boxes: the boxes of each stage, by image; those of the first are the proposals.
    """

    stages: list[BoxOutput]
    boxes: list[list[BoxList]]


class CascadeBoxHead(nn.Module):
    """Box heads in sequence, each with its own weights and box coder.

    Args:
        stages: the box heads; their offsets do not depend on the class.
        matchers: matches the boxes of each stage with the ground truth; the first is not used,
            because the sampled proposals are already matched.
        loss_weights: factor of the losses of each stage.
        average: one of ``AVERAGES``, what the class scores are the mean of at inference.
    """

    def __init__(
        self,
        stages: Sequence[ROIBoxHead],
        matchers: Sequence[Matcher],
        *,
        loss_weights: Sequence[float],
        average: str = "probabilities",
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.matchers = list(matchers)
        self.loss_weights = list(loss_weights)
        self.average = average

    @property
    def feature_extractor(self) -> nn.Module:
        """The feature extractor of the first stage."""
        return self._stages[0].feature_extractor

    @property
    def limits(self) -> DetectionLimits:
        """The criteria for detections."""
        return self._stages[-1].limits

    @property
    def _stages(self) -> list[ROIBoxHead]:
        return cast(list[ROIBoxHead], list(self.stages))

    def forward(self, features: Sequence[Tensor], boxes: Sequence[BoxList]) -> CascadeOutput:
        """Classify and refine the boxes of each image, stage by stage."""
        first, *later = self._stages
        outputs, inputs, before = [first(features, boxes)], [list(boxes)], first
        for stage in later:
            inputs.append(refined_boxes(before, outputs[-1], inputs[-1]))
            outputs.append(stage(features, inputs[-1]))
            before = stage
        return CascadeOutput(outputs, inputs)

    def losses(self, output: CascadeOutput, sampled: SampledProposals) -> dict[str, Tensor]:
        """Return ``loss_classifier_stage1``, ``loss_box_reg_stage1``, ``..._stage2``, ..."""
        losses = {}
        for index, (stage, of_stage) in enumerate(zip(self._stages, output.stages, strict=True)):
            matched = sampled
            if index > 0:
                boxes = output.boxes[index]
                matched = match_proposals(self.matchers[index], boxes, sampled.ground_truth)
            for name, loss in stage.losses(of_stage, matched).items():
                losses[f"{name}_stage{index + 1}"] = self.loss_weights[index] * loss
        return losses

    def detections(self, output: CascadeOutput, boxes: Sequence[BoxList]) -> list[BoxList]:
        """Return the detections of each image: the last stage's boxes, scored by all stages."""
        del boxes  # the proposals
        return self._stages[-1].detections(self._final(output), output.boxes[-1])

    def classified(
        self, output: CascadeOutput, boxes: Sequence[BoxList]
    ) -> list[tuple[Tensor, Tensor]]:
        """Return what ``detections`` selects from, see ``ROIBoxHead.classified``."""
        del boxes
        return self._stages[-1].classified(self._final(output), output.boxes[-1])

    def _final(self, output: CascadeOutput) -> BoxOutput:
        """Return the output of the last stage with the scores of all stages."""
        last = output.stages[-1]
        return BoxOutput(self._averaged(output.stages), last.deltas, last.pooled, last.features)

    def _averaged(self, outputs: Sequence[BoxOutput]) -> Tensor:
        """Return logits ``[R, K]`` whose softmax is the score of the whole cascade."""
        logits = torch.stack([output.logits for output in outputs])
        if self.average == "logits":
            return logits.mean(dim=0)
        return logits.softmax(dim=2).mean(dim=0).log()


@torch.no_grad()
def refined_boxes(stage: ROIBoxHead, output: BoxOutput, boxes: Sequence[BoxList]) -> list[BoxList]:
    """Return the boxes of each image with the offsets of a stage applied, clipped to the image.

    Boxes that are NaN because the training has diverged stay where they were.
    """
    before = torch.cat([b.bbox for b in boxes])
    after = stage.box_coder.decode(output.deltas[:, :4], before)
    after = torch.where(after.isnan(), before.to(after.dtype), after)
    return [
        BoxList(
            clip_boxes(part, own.size, own.pixel_offset), own.size, pixel_offset=own.pixel_offset
        )
        for part, own in zip(after.split([len(b) for b in boxes]), boxes, strict=True)
    ]


@ROI_BOX_PREDICTOR.register(PREDICTOR)
def build_class_agnostic_predictor(cfg: CfgNode, in_channels: int) -> ClassAgnosticPredictor:
    """Build the predictor for features ``[R, in_channels]``."""
    return ClassAgnosticPredictor(in_channels, cfg.MODEL.ROI_BOX_HEAD.NUM_CLASSES)


def check_cascade_box_head(cfg: CfgNode) -> Iterator[str]:
    """Yield the problems of ``MODEL.ROI_BOX_CASCADE_HEAD`` and of the parts of each stage."""
    yield from check_box_head(cfg)
    options, heads, box = cfg.MODEL.ROI_BOX_CASCADE_HEAD, cfg.MODEL.ROI_HEADS, "MODEL.ROI_BOX_HEAD"
    where = "MODEL.ROI_BOX_CASCADE_HEAD"
    if cfg.MODEL.ROI_BOX_HEAD.FEATURE_EXTRACTOR == CONV5_EXTRACTOR:
        yield f"{box}.FEATURE_EXTRACTOR is {CONV5_EXTRACTOR}; a cascade needs one for FPN or C5"
    if cfg.MODEL.ROI_BOX_HEAD.PREDICTOR != PREDICTOR:
        yield f"{box}.PREDICTOR must be {PREDICTOR} with {box}.NAME CascadeBoxHead"
    for key in ("BBOX_REG_WEIGHTS", "LOSS_WEIGHTS"):
        if len(options[key]) != len(options.IOUS):
            yield f"{where}.{key} is {options[key]}; it needs a value for each of {options.IOUS}"
    first = options.IOUS[0] if options.IOUS else None
    if {heads.FG_IOU_THRESHOLD, heads.BG_IOU_THRESHOLD} != {first}:
        yield (
            f"{where}.IOUS is {options.IOUS}; the first must be MODEL.ROI_HEADS.FG_IOU_THRESHOLD "
            f"{heads.FG_IOU_THRESHOLD} and BG_IOU_THRESHOLD {heads.BG_IOU_THRESHOLD}, by which "
            "proposals are sampled"
        )
    if options.AVERAGE not in AVERAGES:
        yield f"{where}.AVERAGE is {options.AVERAGE!r}; it must be one of {', '.join(AVERAGES)}"


def _build_stage(cfg: CfgNode, in_channels: int, weights: Sequence[float]) -> ROIBoxHead:
    extractor = ROI_BOX_FEATURE_EXTRACTORS.build(cfg, in_channels)
    return ROIBoxHead(
        extractor,
        ROI_BOX_PREDICTOR.build(cfg, extractor.out_channels),
        box_coder=make_box_coder(cfg, weights),
        limits=make_detection_limits(cfg),
    )


def build_cascade_box_head(cfg: CfgNode, in_channels: int) -> CascadeBoxHead:
    """Build ``MODEL.ROI_BOX_CASCADE_HEAD`` for feature maps with ``in_channels`` channels."""
    options = cfg.MODEL.ROI_BOX_CASCADE_HEAD
    return CascadeBoxHead(
        [_build_stage(cfg, in_channels, weights) for weights in options.BBOX_REG_WEIGHTS],
        [Matcher(iou, iou) for iou in options.IOUS],
        loss_weights=options.LOSS_WEIGHTS,
        average=options.AVERAGE,
    )
