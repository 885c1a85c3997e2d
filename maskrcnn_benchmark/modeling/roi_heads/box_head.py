"""Box head: the class and the refined box of each ROI (Fast R-CNN, FPN).

Letters: R ROIs of the batch, K classes with background, C channels, P pooled side.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from yacs.config import CfgNode

from maskrcnn_benchmark.layers import full_precision, smooth_l1_loss
from maskrcnn_benchmark.modeling.box_coder import BoxCoder, make_box_coder
from maskrcnn_benchmark.modeling.make_layers import (
    NormMaker,
    conv3x3,
    kaiming_uniform,
    linear,
    make_group_norm,
)
from maskrcnn_benchmark.modeling.poolers import Pooler, make_pooler
from maskrcnn_benchmark.modeling.roi_heads.conv5_extractor import (
    ResNet50Conv5ROIFeatureExtractor,
    build_conv5_feature_extractor,
)
from maskrcnn_benchmark.modeling.roi_heads.detections import (
    DetectionLimits,
    make_soft_nms,
    select_detections,
)
from maskrcnn_benchmark.modeling.roi_heads.sampling import SampledProposals
from maskrcnn_benchmark.structures.bounding_box import BoxList


class FPN2MLPFeatureExtractor(nn.Module):
    """Pooling and two linear layers."""

    def __init__(
        self, in_channels: int, pooler: Pooler, out_channels: int, *, norm: NormMaker | None = None
    ) -> None:
        super().__init__()
        self.pooler = pooler
        height, width = pooler.output_size
        self.fc6 = linear(in_channels * height * width, out_channels, norm=norm)
        self.fc7 = linear(out_channels, out_channels, norm=norm)
        self.out_channels = out_channels

    def forward(
        self, features: Sequence[Tensor], boxes: Sequence[BoxList]
    ) -> tuple[Tensor, Tensor]:
        """Return the pooled features ``[R, C, P, P]`` and ``[R, out_channels]`` of the boxes."""
        pooled = self.pooler(features, boxes)
        return pooled, F.relu(self.fc7(F.relu(self.fc6(pooled.flatten(1)))))


class FPNXconv1fcFeatureExtractor(nn.Module):
    """Pooling, convolutions and one linear layer (Group Normalization, section 4.2)."""

    def __init__(
        self,
        in_channels: int,
        pooler: Pooler,
        out_channels: int,
        *,
        conv_dims: Sequence[int],
        dilation: int = 1,
        norm: NormMaker | None = None,
    ) -> None:
        super().__init__()
        self.pooler = pooler
        layers: list[nn.Module] = []
        for dim in conv_dims:
            block = conv3x3(in_channels, dim, dilation=dilation, norm=norm)
            layers += [*(block if isinstance(block, nn.Sequential) else [block]), nn.ReLU(True)]
            in_channels = dim
        for layer in layers:
            if isinstance(layer, nn.Conv2d):  # this head's own initial weights, as upstream
                nn.init.normal_(layer.weight, std=0.01)
        self.xconvs = nn.Sequential(*layers)
        height, width = pooler.output_size
        self.fc6 = nn.Linear(in_channels * height * width, out_channels)
        kaiming_uniform(self.fc6)
        self.out_channels = out_channels

    def forward(
        self, features: Sequence[Tensor], boxes: Sequence[BoxList]
    ) -> tuple[Tensor, Tensor]:
        """Return the pooled features ``[R, C, P, P]`` and ``[R, out_channels]`` of the boxes."""
        pooled = self.pooler(features, boxes)
        return pooled, F.relu(self.fc6(self.xconvs(pooled).flatten(1)))


BoxFeatureExtractor = (
    FPN2MLPFeatureExtractor | FPNXconv1fcFeatureExtractor | ResNet50Conv5ROIFeatureExtractor
)


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
    """Output of the box head for R ROIs.

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


def build_box_feature_extractor(cfg: CfgNode, in_channels: int) -> BoxFeatureExtractor:
    """Build ``MODEL.ROI_BOX_HEAD.FEATURE_EXTRACTOR``.

    Raises:
        ValueError: the name is unknown.
    """
    options = cfg.MODEL.ROI_BOX_HEAD
    norm = make_group_norm(cfg) if options.USE_GN else None
    if options.FEATURE_EXTRACTOR == "ResNet50Conv5ROIFeatureExtractor":
        return build_conv5_feature_extractor(cfg, options)
    if options.FEATURE_EXTRACTOR == "FPN2MLPFeatureExtractor":
        pooler = make_pooler(options)
        return FPN2MLPFeatureExtractor(in_channels, pooler, options.MLP_HEAD_DIM, norm=norm)
    if options.FEATURE_EXTRACTOR == "FPNXconv1fcFeatureExtractor":
        return FPNXconv1fcFeatureExtractor(
            in_channels,
            make_pooler(options),
            options.MLP_HEAD_DIM,
            conv_dims=[options.CONV_HEAD_DIM] * options.NUM_STACKED_CONVS,
            dilation=options.DILATION,
            norm=norm,
        )
    raise ValueError(
        f"MODEL.ROI_BOX_HEAD.FEATURE_EXTRACTOR {options.FEATURE_EXTRACTOR!r} is unknown; known are "
        "FPN2MLPFeatureExtractor, FPNXconv1fcFeatureExtractor and ResNet50Conv5ROIFeatureExtractor"
    )


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
