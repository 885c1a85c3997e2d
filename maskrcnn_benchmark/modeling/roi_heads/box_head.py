"""Box head: the class and the refined box of each ROI (Fast R-CNN, FPN).

Shapes: R ROIs of the batch, K classes with background, B boxes per ROI (K, or 2 if they are
class-agnostic), C channels, P pooled size.
"""

from collections.abc import Iterator, Sequence
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
    make_norm,
)
from maskrcnn_benchmark.modeling.poolers import Pooler, make_pooler
from maskrcnn_benchmark.modeling.registry import ROI_BOX_FEATURE_EXTRACTORS, ROI_BOX_PREDICTOR
from maskrcnn_benchmark.modeling.roi_heads.conv5_extractor import (
    CONV5_EXTRACTOR,
    ResNet50Conv5ROIFeatureExtractor,
    build_conv5_feature_extractor,
    make_conv5_check,
)
from maskrcnn_benchmark.modeling.roi_heads.detections import (
    DetectionLimits,
    make_detection_limits,
    select_detections,
)
from maskrcnn_benchmark.modeling.roi_heads.sampling import SampledProposals
from maskrcnn_benchmark.structures.bounding_box import BoxList


class FPN2MLPFeatureExtractor(nn.Module):
    """Pool the boxes and apply two linear layers."""

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
        hidden = F.relu(self.fc6(pooled.flatten(1)), inplace=True)
        return pooled, F.relu(self.fc7(hidden), inplace=True)


class FPNXconv1fcFeatureExtractor(nn.Module):
    """Pool the boxes, apply convolutions and a linear layer (Group Normalization, section 4.2)."""

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
            if isinstance(layer, nn.Conv2d):  # initialized as upstream, unlike other heads
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
        return pooled, F.relu(self.fc6(self.xconvs(pooled).flatten(1)), inplace=True)


@dataclass(frozen=True)
class BoxOutput:
    """Output of the box head for R ROIs.

    Attributes:
        logits: ``[R, K]``.
        deltas: offsets ``[R, 4B]``.
        pooled: pooled features ``[R, C, P, P]``.
        features: output of the feature extractor, ``[R, ...]``.
    """

    logits: Tensor
    deltas: Tensor
    pooled: Tensor
    features: Tensor


def box_losses(
    logits: Tensor, deltas: Tensor, labels: Tensor, regression_targets: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the classification loss and the box loss.

    Cross-entropy over all ROIs, and smooth L1 (beta 1) of the labeled class's offsets (the last
    ones if they are class-agnostic) over the positive ROIs; both are sums divided by the number of
    all ROIs (Fast R-CNN, eq. 1).

    Args:
        logits: class logits ``[R, K]``.
        deltas: offsets ``[R, 4B]``.
        labels: int64 ``[R]``, 0 for background.
        regression_targets: target offsets ``[R, 4]``.
    """
    count = max(len(labels), 1)
    loss_classifier = F.cross_entropy(logits, labels, reduction="sum") / count
    positive = (labels > 0).nonzero().flatten()
    deltas = deltas.unflatten(1, (-1, 4))  # [R, B, 4]
    deltas = deltas[positive, labels[positive].clamp(max=deltas.shape[1] - 1)]
    loss_box = smooth_l1_loss(deltas, regression_targets[positive], beta=1.0, size_average=False)
    return loss_classifier, loss_box / count


class ROIBoxHead(nn.Module):
    """Box head: feature extractor, predictor, losses and detections.

    Args:
        feature_extractor: maps boxes to features, see ``ROI_BOX_FEATURE_EXTRACTORS``.
        predictor: maps features to class logits and offsets.
        box_coder: encodes and decodes offsets.
        limits: criteria for detections.
    """

    def __init__(
        self,
        feature_extractor: nn.Module,
        predictor: nn.Module,
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

    def classified(
        self, output: BoxOutput, boxes: Sequence[BoxList]
    ) -> list[tuple[Tensor, Tensor]]:
        """Return the boxes ``[R_i, K, 4]`` of each image, not clipped, and scores ``[R_i, K]``."""
        scores = output.logits.softmax(dim=1)
        decoded = self.box_coder.decode(output.deltas, torch.cat([b.bbox for b in boxes]))
        decoded = decoded.unflatten(1, (-1, 4))  # [R, B, 4]
        if decoded.shape[1] < scores.shape[1]:  # class-agnostic
            decoded = decoded[:, -1:].expand(-1, scores.shape[1], -1)
        counts = [len(b) for b in boxes]
        return list(zip(decoded.split(counts), scores.split(counts), strict=True))

    def detections(self, output: BoxOutput, boxes: Sequence[BoxList]) -> list[BoxList]:
        """Return the detections of each image, see ``select_detections``."""
        offset = self.box_coder.pixel_offset
        return [
            select_detections(*of_image, proposals.size, self.limits, pixel_offset=offset)
            for of_image, proposals in zip(self.classified(output, boxes), boxes, strict=True)
        ]


_EXTRACTOR = "MODEL.ROI_BOX_HEAD.FEATURE_EXTRACTOR"
_check_conv5 = make_conv5_check(_EXTRACTOR, brings_conv5=False)


@ROI_BOX_FEATURE_EXTRACTORS.register("FPN2MLPFeatureExtractor", check=_check_conv5)
def build_fpn_2mlp(cfg: CfgNode, in_channels: int) -> FPN2MLPFeatureExtractor:
    """Build the two-layer perceptron for feature maps with ``in_channels`` channels."""
    options = cfg.MODEL.ROI_BOX_HEAD
    norm = make_norm(cfg, options)
    return FPN2MLPFeatureExtractor(
        in_channels, make_pooler(options), options.MLP_HEAD_DIM, norm=norm
    )


@ROI_BOX_FEATURE_EXTRACTORS.register("FPNXconv1fcFeatureExtractor", check=_check_conv5)
def build_fpn_xconv1fc(cfg: CfgNode, in_channels: int) -> FPNXconv1fcFeatureExtractor:
    """Build convolutions and a linear layer for feature maps with ``in_channels`` channels."""
    options = cfg.MODEL.ROI_BOX_HEAD
    return FPNXconv1fcFeatureExtractor(
        in_channels,
        make_pooler(options),
        options.MLP_HEAD_DIM,
        conv_dims=[options.CONV_HEAD_DIM] * options.NUM_STACKED_CONVS,
        dilation=options.DILATION,
        norm=make_norm(cfg, options),
    )


@ROI_BOX_FEATURE_EXTRACTORS.register(
    CONV5_EXTRACTOR, check=make_conv5_check(_EXTRACTOR, brings_conv5=True)
)
def build_conv5_box_features(cfg: CfgNode, in_channels: int) -> ResNet50Conv5ROIFeatureExtractor:
    """Build the last stage of the body; ``in_channels`` follows from the config."""
    return build_conv5_feature_extractor(cfg, cfg.MODEL.ROI_BOX_HEAD)


def check_box_head(cfg: CfgNode) -> Iterator[str]:
    """Yield the problems of ``MODEL.ROI_BOX_HEAD``."""
    yield from ROI_BOX_FEATURE_EXTRACTORS.check(cfg)
    yield from ROI_BOX_PREDICTOR.check(cfg)
    if cfg.MODEL.ROI_BOX_HEAD.NUM_CLASSES < 2:
        yield "MODEL.ROI_BOX_HEAD.NUM_CLASSES includes the background: it must be at least 2"


def build_box_head(cfg: CfgNode, in_channels: int) -> ROIBoxHead:
    """Build ``MODEL.ROI_BOX_HEAD`` for feature maps with ``in_channels`` channels."""
    extractor = ROI_BOX_FEATURE_EXTRACTORS.build(cfg, in_channels)
    return ROIBoxHead(
        extractor,
        ROI_BOX_PREDICTOR.build(cfg, extractor.out_channels),
        box_coder=make_box_coder(cfg, cfg.MODEL.ROI_HEADS.BBOX_REG_WEIGHTS),
        limits=make_detection_limits(cfg),
    )
