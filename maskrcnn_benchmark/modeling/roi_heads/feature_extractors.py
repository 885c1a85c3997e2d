"""What turns boxes into features for the heads.

Each extractor maps feature maps and boxes to the pooled features ``[R, C, P, P]``, which the
MaskIoU head takes, and to its own features, which a predictor takes.

Letters: R ROIs of the batch, C channels, P pooled side.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn
from yacs.config import CfgNode

from maskrcnn_benchmark.modeling.backbone.build_resnet import make_last_stage
from maskrcnn_benchmark.modeling.make_layers import (
    NormMaker,
    conv3x3,
    kaiming_uniform,
    linear,
    make_group_norm,
)
from maskrcnn_benchmark.modeling.poolers import Pooler
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


class ResNet50Conv5ROIFeatureExtractor(nn.Module):
    """Pooling and the ResNet's last stage, for a backbone that ends before it (C4).

    Args:
        pooler: pools the boxes.
        layer4: the stage.
        out_channels: channels after it.
    """

    def __init__(self, pooler: Pooler, layer4: nn.Module, out_channels: int) -> None:
        super().__init__()
        self.pooler = pooler
        self.head = nn.Sequential(OrderedDict(layer4=layer4))
        self.out_channels = out_channels

    def forward(
        self, features: Sequence[Tensor], boxes: Sequence[BoxList]
    ) -> tuple[Tensor, Tensor]:
        """Return the pooled features ``[R, C, P, P]`` and the stage's ``[R, C', P', P']``."""
        pooled = self.pooler(features, boxes)
        return pooled, self.head(pooled)


def make_pooler(options: CfgNode) -> Pooler:
    """Return the pooler of ``MODEL.ROI_BOX_HEAD`` or ``MODEL.ROI_MASK_HEAD``."""
    side = options.POOLER_RESOLUTION
    return Pooler(
        (side, side),
        options.POOLER_SCALES,
        options.POOLER_SAMPLING_RATIO,
        aligned=options.POOLER_ALIGNED,
    )


def build_conv5_feature_extractor(
    cfg: CfgNode, options: CfgNode
) -> ResNet50Conv5ROIFeatureExtractor:
    """Build ``layer4`` of the body's depth behind the pooler of ``options``."""
    return ResNet50Conv5ROIFeatureExtractor(make_pooler(options), *make_last_stage(cfg))


BoxFeatureExtractor = (
    FPN2MLPFeatureExtractor | FPNXconv1fcFeatureExtractor | ResNet50Conv5ROIFeatureExtractor
)
MaskFeatureExtractor = MaskRCNNFPNFeatureExtractor | ResNet50Conv5ROIFeatureExtractor


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


def build_mask_feature_extractor(cfg: CfgNode, in_channels: int) -> MaskFeatureExtractor:
    """Build ``MODEL.ROI_MASK_HEAD.FEATURE_EXTRACTOR``.

    Raises:
        ValueError: the name is unknown.
    """
    options = cfg.MODEL.ROI_MASK_HEAD
    if options.FEATURE_EXTRACTOR == "ResNet50Conv5ROIFeatureExtractor":
        return build_conv5_feature_extractor(cfg, options)
    if options.FEATURE_EXTRACTOR == "MaskRCNNFPNFeatureExtractor":
        return MaskRCNNFPNFeatureExtractor(
            in_channels,
            make_pooler(options),
            options.CONV_LAYERS,
            dilation=options.DILATION,
            norm=make_group_norm(cfg) if options.USE_GN else None,
        )
    raise ValueError(
        f"MODEL.ROI_MASK_HEAD.FEATURE_EXTRACTOR {options.FEATURE_EXTRACTOR!r} is unknown; known "
        "are MaskRCNNFPNFeatureExtractor and ResNet50Conv5ROIFeatureExtractor"
    )
