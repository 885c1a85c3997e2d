"""A backbone: the body, and the feature pyramid behind it if there is one."""

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn
from yacs.config import CfgNode

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


def build_fpn_backbone(cfg: CfgNode, body: nn.Module, channels: Sequence[int]) -> Backbone:
    """Put ``MODEL.FPN`` of ``MODEL.BACKBONE.OUT_CHANNELS`` behind a body.

    Args:
        cfg: the config.
        body: images ``[N, 3, H, W]`` to feature maps, finest first, each half as large as the one
            before; the pyramid adds one level.
        channels: those of the feature maps.
    """
    out_channels = cfg.MODEL.BACKBONE.OUT_CHANNELS
    fpn = FPN(
        channels,
        out_channels,
        norm=make_group_norm(cfg) if cfg.MODEL.FPN.USE_GN else None,
        relu=cfg.MODEL.FPN.USE_RELU,
    )
    return Backbone(OrderedDict(body=body, fpn=fpn), out_channels)
