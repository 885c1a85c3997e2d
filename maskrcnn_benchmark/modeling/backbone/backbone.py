"""Backbone: a body, optionally followed by a feature pyramid."""

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn
from yacs.config import CfgNode

from maskrcnn_benchmark.modeling.backbone.fpn import FPN, ConvolvedLevels
from maskrcnn_benchmark.modeling.make_layers import make_norm


class Backbone(nn.Sequential):
    """Map images ``[N, 3, H, W]`` to a list of feature maps with a body and an optional FPN.

    Args:
        modules: ``body`` and, if present, ``fpn``.
        out_channels: number of channels of each feature map.
    """

    def __init__(self, modules: OrderedDict[str, nn.Module], out_channels: int) -> None:
        super().__init__(modules)
        self.out_channels = out_channels


def build_fpn_backbone(cfg: CfgNode, body: nn.Module, channels: Sequence[int]) -> Backbone:
    """Add the FPN of ``MODEL.FPN`` with ``MODEL.BACKBONE.OUT_CHANNELS`` channels to a body.

    Args:
        cfg: the config.
        body: maps images ``[N, 3, H, W]`` to feature maps, finest first, each half the size of the
            previous one; the pyramid adds one level.
        channels: number of channels of each feature map.
    """
    out_channels = cfg.MODEL.BACKBONE.OUT_CHANNELS
    fpn = FPN(
        channels,
        out_channels,
        norm=make_norm(cfg, cfg.MODEL.FPN),
        relu=cfg.MODEL.FPN.USE_RELU,
    )
    return Backbone(OrderedDict(body=body, fpn=fpn), out_channels)


def build_retinanet_backbone(cfg: CfgNode, body: nn.Module, channels: Sequence[int]) -> Backbone:
    """Add the pyramid P3 to P7 of RetinaNet to a body.

    ``MODEL.RETINANET.USE_C5`` selects whether P6 is computed from C5 or from P5.

    Args:
        cfg: the config.
        body: maps images ``[N, 3, H, W]`` to the feature maps C3, C4 and C5.
        channels: number of channels of each.
    """
    out_channels, from_c5 = cfg.MODEL.BACKBONE.OUT_CHANNELS, cfg.MODEL.RETINANET.USE_C5
    fpn = FPN(
        channels,
        out_channels,
        norm=make_norm(cfg, cfg.MODEL.FPN),
        relu=cfg.MODEL.FPN.USE_RELU,
        finest=2,  # as layer2, whose output is C3
        top_blocks=ConvolvedLevels(
            channels[-1] if from_c5 else out_channels, out_channels, from_c5=from_c5
        ),
    )
    return Backbone(OrderedDict(body=body, fpn=fpn), out_channels)
