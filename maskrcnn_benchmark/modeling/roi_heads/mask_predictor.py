"""Predictors of the mask head, and the size of the masks that they predict.

Shapes: R ROIs of the batch, K classes with background, P size of the features, M mask size.
"""

from collections.abc import Iterator

import torch.nn.functional as F
from torch import Tensor, nn
from yacs.config import CfgNode

from maskrcnn_benchmark.layers import Conv2d, ConvTranspose2d
from maskrcnn_benchmark.modeling.make_layers import kaiming_normal
from maskrcnn_benchmark.modeling.registry import ROI_MASK_FEATURE_EXTRACTORS, ROI_MASK_PREDICTOR


class MaskRCNNC4Predictor(nn.Module):
    """Upsample by 2 and predict a mask for each class."""

    def __init__(self, in_channels: int, hidden_channels: int, num_classes: int) -> None:
        super().__init__()
        self.conv5_mask = ConvTranspose2d(in_channels, hidden_channels, 2, 2)
        self.mask_fcn_logits = Conv2d(hidden_channels, num_classes, 1)
        for layer in (self.conv5_mask, self.mask_fcn_logits):
            kaiming_normal(layer)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``[R, K, 2P, 2P]``."""
        return self.mask_fcn_logits(F.relu(self.conv5_mask(x), inplace=True))


class MaskRCNNConv1x1Predictor(nn.Module):
    """Predict a mask for each class at the size of the features."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.mask_fcn_logits = Conv2d(in_channels, num_classes, 1)
        kaiming_normal(self.mask_fcn_logits)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``[R, K, P, P]``."""
        return self.mask_fcn_logits(x)


def make_mask_side(cfg: CfgNode) -> tuple[int, str, int]:
    """Return the pooled size, the config key that sets it, and the mask size M."""
    shares = cfg.MODEL.ROI_MASK_HEAD.SHARE_BOX_FEATURE_EXTRACTOR
    section = "ROI_BOX_HEAD" if shares else "ROI_MASK_HEAD"
    pooled = cfg.MODEL[section].POOLER_RESOLUTION
    extractor, predictor = cfg.MODEL[section].FEATURE_EXTRACTOR, cfg.MODEL.ROI_MASK_HEAD.PREDICTOR
    make_side = ROI_MASK_FEATURE_EXTRACTORS.optional_fact(extractor, "side")
    side = pooled if make_side is None else make_side(cfg, pooled)
    upsampling = ROI_MASK_PREDICTOR.optional_fact(predictor, "upsampling")
    return pooled, f"MODEL.{section}.POOLER_RESOLUTION", upsampling * side


def check_mask_side(cfg: CfgNode) -> Iterator[str]:
    """Check that ``RESOLUTION`` is the mask size, and that the MaskIoU head supports it."""
    pooled, source, side = make_mask_side(cfg)
    resolution = cfg.MODEL.ROI_MASK_HEAD.RESOLUTION
    if side != resolution:
        yield (
            f"MODEL.ROI_MASK_HEAD.RESOLUTION is {resolution}; with {source} {pooled} the "
            f"mask head predicts masks of size {side}"
        )
    elif cfg.MODEL.MASKIOU_ON and side % pooled:
        yield (
            f"{source} is {pooled}; with MODEL.MASKIOU_ON the mask size {side} must be a "
            "multiple of it, so on C4 it must be even"
        )


@ROI_MASK_PREDICTOR.register("MaskRCNNC4Predictor", check=check_mask_side)
def build_mask_rcnn_c4_predictor(cfg: CfgNode, in_channels: int) -> MaskRCNNC4Predictor:
    """Build the predictor for features ``[R, in_channels, P, P]``."""
    hidden, classes = cfg.MODEL.ROI_MASK_HEAD.CONV_LAYERS[-1], cfg.MODEL.ROI_BOX_HEAD.NUM_CLASSES
    return MaskRCNNC4Predictor(in_channels, hidden, classes)


@ROI_MASK_PREDICTOR.register("MaskRCNNConv1x1Predictor", check=check_mask_side, upsampling=1)
def build_mask_rcnn_conv1x1_predictor(cfg: CfgNode, in_channels: int) -> MaskRCNNConv1x1Predictor:
    """Build the predictor for features ``[R, in_channels, P, P]``."""
    return MaskRCNNConv1x1Predictor(in_channels, cfg.MODEL.ROI_BOX_HEAD.NUM_CLASSES)
