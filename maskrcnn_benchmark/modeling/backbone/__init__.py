from __future__ import annotations

from collections import OrderedDict

from torch import nn
from yacs.config import CfgNode

from maskrcnn_benchmark.modeling.backbone.fpn import FPN
from maskrcnn_benchmark.modeling.backbone.resnet import build_resnet
from maskrcnn_benchmark.modeling.make_layers import make_group_norm


def build_backbone(cfg: CfgNode) -> nn.Sequential:
    """Build ``MODEL.BACKBONE``: images ``[N, 3, H, W]`` to a list of feature maps.

    The result has ``out_channels``, the channels of each map.
    """
    body = build_resnet(cfg)
    modules: OrderedDict[str, nn.Module] = OrderedDict(body=body)
    if cfg.MODEL.BACKBONE.CONV_BODY.endswith("-FPN"):
        modules["fpn"] = FPN(
            body.stage_channels,
            cfg.MODEL.BACKBONE.OUT_CHANNELS,
            norm=make_group_norm(cfg) if cfg.MODEL.FPN.USE_GN else None,
            relu=cfg.MODEL.FPN.USE_RELU,
        )
    backbone = nn.Sequential(modules)
    backbone.out_channels = (
        cfg.MODEL.BACKBONE.OUT_CHANNELS if "fpn" in modules else body.stage_channels[-1]
    )
    return backbone
