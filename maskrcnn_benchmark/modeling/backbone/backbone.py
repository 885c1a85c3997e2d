"""Backbone: a body, optionally followed by a feature pyramid."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence

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


def check_no_checkpointing(cfg: CfgNode) -> Iterator[str]:
    """Yield the problem of a body other than a ResNet that is to checkpoint its activations."""
    if cfg.MODEL.BACKBONE.ACTIVATION_CHECKPOINTING:
        yield (
            "MODEL.BACKBONE.ACTIVATION_CHECKPOINTING is True, which only ResNets can do, not "
            f"{cfg.MODEL.BACKBONE.CONV_BODY}: set it to False"
        )


def build_fpn_backbone(
    cfg: CfgNode,
    body: nn.Module,
    channels: Sequence[int],
    *,
    finest: int = 1,
    top_blocks: nn.Module | None = None,
) -> Backbone:
    """Add the FPN of ``MODEL.FPN`` with ``MODEL.BACKBONE.OUT_CHANNELS`` channels to a body.

    Args:
        cfg: the config.
        body: maps images ``[N, 3, H, W]`` to feature maps, finest first, each half the size of the
            previous one; the pyramid adds one level, or those of ``top_blocks``.
        channels: number of channels of each feature map.
        finest: see ``FPN``.
        top_blocks: see ``FPN``.
    """
    out_channels = cfg.MODEL.BACKBONE.OUT_CHANNELS
    fpn = FPN(
        channels,
        out_channels,
        norm=make_norm(cfg, cfg.MODEL.FPN),
        relu=cfg.MODEL.FPN.USE_RELU,
        finest=finest,
        top_blocks=top_blocks,
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
    in_channels = channels[-1] if from_c5 else out_channels
    top_blocks = ConvolvedLevels(in_channels, out_channels, from_c5=from_c5)
    # the layers of C3, the output of layer2, are called fpn_inner2 and fpn_layer2
    return build_fpn_backbone(cfg, body, channels, finest=2, top_blocks=top_blocks)
