"""Mask head: a mask of each ROI for each class (Mask R-CNN, section 3).

Letters: R ROIs of the batch, K classes with background, C channels, P pooled side, M mask side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from yacs.config import CfgNode

from maskrcnn_benchmark.layers import Conv2d, ConvTranspose2d, full_precision
from maskrcnn_benchmark.modeling.make_layers import kaiming_normal
from maskrcnn_benchmark.modeling.roi_heads.feature_extractors import (
    BoxFeatureExtractor,
    MaskFeatureExtractor,
    ResNet50Conv5ROIFeatureExtractor,
    build_mask_feature_extractor,
)
from maskrcnn_benchmark.structures.bounding_box import BoxList


class MaskRCNNC4Predictor(nn.Module):
    """Double the size, then a mask for each class."""

    def __init__(self, in_channels: int, hidden_channels: int, num_classes: int) -> None:
        super().__init__()
        self.conv5_mask = ConvTranspose2d(in_channels, hidden_channels, 2, 2)
        self.mask_fcn_logits = Conv2d(hidden_channels, num_classes, 1)
        for layer in (self.conv5_mask, self.mask_fcn_logits):
            kaiming_normal(layer)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``[R, K, 2P, 2P]``."""
        return self.mask_fcn_logits(F.relu(self.conv5_mask(x)))


@dataclass(frozen=True)
class MaskOutput:
    """What the mask head says of R ROIs.

    Attributes:
        logits: ``[R, K, M, M]``.
        roi_features: ``[R, C, P, P]``, the pooled features before the mask convolutions, which the
            MaskIoU head takes.
    """

    logits: Tensor
    roi_features: Tensor


def select_class(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the masks ``[R, M, M]`` of the labels ``[R]`` among ``[R, K, M, M]``."""
    return logits[torch.arange(len(labels), device=labels.device), labels]


def mask_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean binary cross-entropy over ``[R, M, M]``; 0, with a gradient, if R is 0.

    Args:
        logits: of the class of each ROI (Mask R-CNN: masks of other classes do not contribute).
        targets: 0 or 1.
    """
    total = F.binary_cross_entropy_with_logits(logits, targets.to(logits), reduction="sum")
    return total / max(logits.numel(), 1)


class ROIMaskHead(nn.Module):
    """Pooled features and masks of boxes.

    Args:
        feature_extractor: pools boxes and refines the features.
        predictor: mask features to logits.
        shares_box_features: whether the extractor is that of the box head, whose features then
            serve in training (``MODEL.ROI_MASK_HEAD.SHARE_BOX_FEATURE_EXTRACTOR``).
    """

    def __init__(
        self,
        feature_extractor: MaskFeatureExtractor,
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
        """Side P of the pooled features, which may be the box head's."""
        return self.feature_extractor.pooler.output_size[0]

    def forward(self, features: Sequence[Tensor], boxes: Sequence[BoxList]) -> MaskOutput:
        """Predict the masks of the boxes of each image."""
        return self.predict(*self.feature_extractor(features, boxes))

    def predict(self, pooled: Tensor, x: Tensor) -> MaskOutput:
        """Predict the masks from the extractor's pooled features and its own."""
        return MaskOutput(logits=full_precision(self.predictor(x)), roi_features=pooled)


def build_mask_head(
    cfg: CfgNode, in_channels: int, box_feature_extractor: BoxFeatureExtractor
) -> ROIMaskHead:
    """Build ``MODEL.ROI_MASK_HEAD`` over feature maps of ``in_channels``.

    Args:
        cfg: the config.
        in_channels: see above.
        box_feature_extractor: that of the box head, which the mask head may share.

    Raises:
        ValueError: a name is unknown, or the extractor to share has no feature maps.
    """
    options = cfg.MODEL.ROI_MASK_HEAD
    shares = options.SHARE_BOX_FEATURE_EXTRACTOR
    if not shares:
        extractor = build_mask_feature_extractor(cfg, in_channels)
    elif isinstance(box_feature_extractor, ResNet50Conv5ROIFeatureExtractor):
        extractor = box_feature_extractor
    else:
        raise ValueError(
            "MODEL.ROI_MASK_HEAD.SHARE_BOX_FEATURE_EXTRACTOR needs feature maps, which the box "
            f"head's {type(box_feature_extractor).__name__} does not give: set it to False"
        )
    predictor = MaskRCNNC4Predictor(
        extractor.out_channels, options.CONV_LAYERS[-1], cfg.MODEL.ROI_BOX_HEAD.NUM_CLASSES
    )
    return ROIMaskHead(extractor, predictor, shares_box_features=shares)
