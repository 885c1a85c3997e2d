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

from maskrcnn_benchmark.layers import Conv2d, ConvTranspose2d
from maskrcnn_benchmark.modeling.make_layers import (
    NormMaker,
    conv3x3,
    kaiming_normal,
    make_group_norm,
)
from maskrcnn_benchmark.modeling.poolers import Pooler
from maskrcnn_benchmark.structures.bounding_box import BoxList


class MaskRCNNFPNFeatureExtractor(nn.Module):
    """Pooling and 3x3 convolutions ``mask_fcn1``, ``mask_fcn2``, ..."""

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
            x = F.relu(self.get_submodule(name)(x))
        return pooled, x


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
    """

    def __init__(self, feature_extractor: nn.Module, predictor: nn.Module) -> None:
        super().__init__()
        self.feature_extractor = feature_extractor
        self.predictor = predictor

    def forward(self, features: Sequence[Tensor], boxes: Sequence[BoxList]) -> MaskOutput:
        """Predict the masks of the boxes of each image."""
        pooled, x = self.feature_extractor(features, boxes)
        return MaskOutput(logits=self.predictor(x), roi_features=pooled)


def build_mask_head(cfg: CfgNode, in_channels: int) -> ROIMaskHead:
    """Build ``MODEL.ROI_MASK_HEAD`` over feature maps of ``in_channels``.

    Raises:
        ValueError: a name is unknown.
    """
    options = cfg.MODEL.ROI_MASK_HEAD
    if options.FEATURE_EXTRACTOR != "MaskRCNNFPNFeatureExtractor":
        raise ValueError(
            f"MODEL.ROI_MASK_HEAD.FEATURE_EXTRACTOR {options.FEATURE_EXTRACTOR!r} is unknown; "
            "known is MaskRCNNFPNFeatureExtractor"
        )
    side = options.POOLER_RESOLUTION
    extractor = MaskRCNNFPNFeatureExtractor(
        in_channels,
        Pooler((side, side), options.POOLER_SCALES, options.POOLER_SAMPLING_RATIO),
        options.CONV_LAYERS,
        dilation=options.DILATION,
        norm=make_group_norm(cfg) if options.USE_GN else None,
    )
    predictor = MaskRCNNC4Predictor(
        extractor.out_channels, options.CONV_LAYERS[-1], cfg.MODEL.ROI_BOX_HEAD.NUM_CLASSES
    )
    return ROIMaskHead(extractor, predictor)
