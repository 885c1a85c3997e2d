"""Mask head: one mask per ROI and class (Mask R-CNN, section 3).

Shapes: R ROIs of the batch, K classes with background, C channels, P pooled size, M mask size.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from yacs.config import CfgNode

from maskrcnn_benchmark.layers import conv_relu, full_precision
from maskrcnn_benchmark.modeling.make_layers import NormMaker, conv3x3, make_norm
from maskrcnn_benchmark.modeling.poolers import Pooler, make_pooler
from maskrcnn_benchmark.modeling.registry import ROI_MASK_FEATURE_EXTRACTORS, ROI_MASK_PREDICTOR
from maskrcnn_benchmark.modeling.roi_heads.conv5_extractor import (
    CONV5_EXTRACTOR,
    ResNet50Conv5ROIFeatureExtractor,
    build_conv5_feature_extractor,
    make_conv5_check,
    make_conv5_side,
)
from maskrcnn_benchmark.modeling.roi_heads.sampling import SampledProposals
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.fields import MASKS
from maskrcnn_benchmark.structures.mask_targets import instance_targets


class MaskRCNNFPNFeatureExtractor(nn.Module):
    """Pool the boxes and apply 3x3 convolutions ``mask_fcn1``, ``mask_fcn2``, ..."""

    def __init__(
        self,
        in_channels: int,
        pooler: Pooler,
        conv_dims: Sequence[int],
        *,
        dilation: int = 1,
        norm: NormMaker | None = None,
    ) -> None:
        super().__init__()
        self.pooler = pooler
        self.blocks: list[str] = []
        for number, dim in enumerate(conv_dims, start=1):
            self.blocks.append(f"mask_fcn{number}")
            self.add_module(
                f"mask_fcn{number}", conv3x3(in_channels, dim, dilation=dilation, norm=norm)
            )
            in_channels = dim
        self.out_channels = in_channels

    def forward(
        self, features: Sequence[Tensor], boxes: Sequence[BoxList]
    ) -> tuple[Tensor, Tensor]:
        """Return the pooled features ``[R, C, P, P]`` and the mask features ``[R, C', P, P]``."""
        pooled = self.pooler(features, boxes)
        x = pooled
        for name in self.blocks:
            x = conv_relu(self.get_submodule(name), x)
        return pooled, x


@dataclass(frozen=True)
class MaskOutput:
    """Output of the mask head for R ROIs.

    Attributes:
        logits: mask logits ``[R, K, M, M]``.
        roi_features: pooled features ``[R, C, P, P]`` before the mask convolutions, the input of
            the MaskIoU head.
    """

    logits: Tensor
    roi_features: Tensor


def select_class(logits: Tensor, labels: Tensor) -> Tensor:
    """Select the mask of class ``labels[r]`` of each ROI: ``[R, K, M, M]`` to ``[R, M, M]``."""
    return logits[torch.arange(len(labels), device=labels.device), labels]


@dataclass(frozen=True)
class MaskTargets:
    """Mask targets of R positive ROIs, on the device of the ROIs.

    Attributes:
        masks: float ``[R, M, M]`` of 0 and 1, the instance cropped to the ROI.
        visible_fraction: float ``[R]``, the fraction of the instance area inside the ROI, at the
            resolution of the image; NaN for an instance without area.
    """

    masks: Tensor
    visible_fraction: Tensor


def has_mask_target(sampled: SampledProposals) -> list[Tensor]:
    """Return which ROIs train the mask heads, bool ``[R_i]`` for each image.

    These are the positive ROIs whose matched instance has a mask.
    """
    chosen = []
    for labels, matched, gt in zip(
        sampled.labels, sampled.matched_gt, sampled.ground_truth, strict=True
    ):
        positive = labels > 0
        if len(gt) and not (masks := gt.get_field(MASKS)).all_present():
            positive &= masks.present().to(matched.device)[matched]
        chosen.append(positive)
    return chosen


@torch.no_grad()
def build_mask_targets(positives: SampledProposals, size: int) -> MaskTargets:
    """Rasterize the matched instance of each positive ROI.

    Masks are stored on the CPU: the ROIs are copied there once, and the result is copied back once.

    Args:
        positives: positive ROIs of each image; their ground truth has the field ``masks``.
        size: mask size M.
    """
    device = positives.boxes[0].bbox.device
    counts = [len(boxes) for boxes in positives.boxes]
    boxes = torch.cat([b.bbox for b in positives.boxes]).float().cpu().split(counts)
    matched = torch.cat(positives.matched_gt).cpu().split(counts)
    targets = [
        instance_targets(gt.get_field(MASKS).instances, own, of_image, size, gt.size)
        for gt, own, of_image in zip(positives.ground_truth, boxes, matched, strict=True)
        if len(own)
    ]
    masks = torch.cat([torch.zeros(0, size, size, dtype=torch.uint8), *(m for m, _ in targets)])
    fractions = torch.cat([torch.zeros(0), *(fraction for _, fraction in targets)])
    return MaskTargets(masks.to(device).float(), fractions.to(device))


def mask_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean binary cross-entropy; 0, with a zero gradient, if R is 0.

    Args:
        logits: ``[R, M, M]``, the mask of each ROI's class; other classes do not contribute.
        targets: ``[R, M, M]`` of 0 and 1.
    """
    total = F.binary_cross_entropy_with_logits(logits, targets.to(logits), reduction="sum")
    return total / max(logits.numel(), 1)


class ROIMaskHead(nn.Module):
    """Mask head: feature extractor and predictor.

    Args:
        feature_extractor: maps boxes to mask features, see ``ROI_MASK_FEATURE_EXTRACTORS``.
        predictor: maps mask features to logits.
        shares_box_features: whether the extractor is shared with the box head, so that training
            reuses its features (``MODEL.ROI_MASK_HEAD.SHARE_BOX_FEATURE_EXTRACTOR``).
    """

    def __init__(
        self,
        feature_extractor: nn.Module,
        predictor: nn.Module,
        *,
        shares_box_features: bool,
    ) -> None:
        super().__init__()
        self.feature_extractor = feature_extractor
        self.predictor = predictor
        self.shares_box_features = shares_box_features

    @property
    def roi_side(self) -> int:
        """The size P of the pooled features."""
        pooler = self.feature_extractor.pooler
        assert isinstance(pooler, Pooler)
        return pooler.output_size[0]

    def forward(self, features: Sequence[Tensor], boxes: Sequence[BoxList]) -> MaskOutput:
        """Predict the masks of the boxes of each image."""
        return self.predict(*self.feature_extractor(features, boxes))

    def predict(self, pooled: Tensor, x: Tensor) -> MaskOutput:
        """Predict the masks from the two outputs of the feature extractor."""
        return MaskOutput(logits=full_precision(self.predictor(x)), roi_features=pooled)


_EXTRACTOR = "MODEL.ROI_MASK_HEAD.FEATURE_EXTRACTOR"


@ROI_MASK_FEATURE_EXTRACTORS.register(
    "MaskRCNNFPNFeatureExtractor", check=make_conv5_check(_EXTRACTOR, brings_conv5=False)
)
def build_mask_rcnn_fpn(cfg: CfgNode, in_channels: int) -> MaskRCNNFPNFeatureExtractor:
    """Build 3x3 convolutions for feature maps with ``in_channels`` channels."""
    options = cfg.MODEL.ROI_MASK_HEAD
    return MaskRCNNFPNFeatureExtractor(
        in_channels,
        make_pooler(options),
        options.CONV_LAYERS,
        dilation=options.DILATION,
        norm=make_norm(cfg, options),
    )


@ROI_MASK_FEATURE_EXTRACTORS.register(
    CONV5_EXTRACTOR,
    check=make_conv5_check(_EXTRACTOR, brings_conv5=True),
    side=make_conv5_side,
)
def build_conv5_mask_features(cfg: CfgNode, in_channels: int) -> ResNet50Conv5ROIFeatureExtractor:
    """Build the last stage of the body; ``in_channels`` follows from the config."""
    return build_conv5_feature_extractor(cfg, cfg.MODEL.ROI_MASK_HEAD)


def check_mask_head(cfg: CfgNode) -> Iterator[str]:
    """Yield the problems of ``MODEL.ROI_MASK_HEAD``."""
    yield from ROI_MASK_FEATURE_EXTRACTORS.check(cfg)
    extractor = cfg.MODEL.ROI_BOX_HEAD.FEATURE_EXTRACTOR
    if cfg.MODEL.ROI_MASK_HEAD.SHARE_BOX_FEATURE_EXTRACTOR and extractor != CONV5_EXTRACTOR:
        yield (
            f"MODEL.ROI_MASK_HEAD.SHARE_BOX_FEATURE_EXTRACTOR must be False with {extractor}: "
            "the box head flattens its features"
        )
    else:
        yield from ROI_MASK_PREDICTOR.check(cfg)


def build_mask_head(
    cfg: CfgNode, in_channels: int, box_feature_extractor: nn.Module
) -> ROIMaskHead:
    """Build ``MODEL.ROI_MASK_HEAD``.

    Args:
        cfg: the config.
        in_channels: number of channels of the feature maps.
        box_feature_extractor: feature extractor of the box head, which the mask head may share.
    """
    shares = cfg.MODEL.ROI_MASK_HEAD.SHARE_BOX_FEATURE_EXTRACTOR
    extractor = box_feature_extractor
    if not shares:
        extractor = ROI_MASK_FEATURE_EXTRACTORS.build(cfg, in_channels)
    predictor = ROI_MASK_PREDICTOR.build(cfg, extractor.out_channels)
    return ROIMaskHead(extractor, predictor, shares_box_features=shares)
