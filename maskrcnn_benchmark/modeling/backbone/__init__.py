from collections import OrderedDict

from torch import nn
from yacs.config import CfgNode

from maskrcnn_benchmark.modeling.backbone.build_resnet import build_resnet
from maskrcnn_benchmark.modeling.backbone.fpn import FPN
from maskrcnn_benchmark.modeling.make_layers import make_group_norm


class Backbone(nn.Sequential):
    """Body and, if there is one, FPN: images ``[N, 3, H, W]`` to a list of feature maps.

    Args:
        modules: ``body`` and ``fpn``.
        out_channels: channels of each feature map.
    """

    def __init__(self, modules: OrderedDict[str, nn.Module], out_channels: int) -> None:
        super().__init__(modules)
        self.out_channels = out_channels


def build_backbone(cfg: CfgNode) -> Backbone:
    """Build ``MODEL.BACKBONE``."""
    body = build_resnet(cfg)
    modules: OrderedDict[str, nn.Module] = OrderedDict(body=body)
    if not cfg.MODEL.BACKBONE.CONV_BODY.endswith("-FPN"):
        return Backbone(modules, body.stage_channels[-1])
    out_channels = cfg.MODEL.BACKBONE.OUT_CHANNELS
    modules["fpn"] = FPN(
        body.stage_channels,
        out_channels,
        norm=make_group_norm(cfg) if cfg.MODEL.FPN.USE_GN else None,
        relu=cfg.MODEL.FPN.USE_RELU,
    )
    return Backbone(modules, out_channels)
