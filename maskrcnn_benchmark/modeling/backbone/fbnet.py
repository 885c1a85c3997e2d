"""The body of FBNet, ChamNet and MobileNetV2: one feature map, without a pyramid."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn
from yacs.config import CfgNode

from maskrcnn_benchmark.modeling.backbone.backbone import Backbone, check_no_checkpointing
from maskrcnn_benchmark.modeling.fbnet.blocks import BN_TYPES, make_block_builder
from maskrcnn_benchmark.modeling.fbnet.definition import check_architecture, make_architecture
from maskrcnn_benchmark.modeling.registry import BACKBONES

_POOLED = 6  # size of the pooled features of the heads in maskrcnn-benchmark's configs


class FBNetTrunk(nn.Module):
    """A convolution ``first`` and the blocks ``stages``."""

    def __init__(self, first: nn.Sequential, stages: nn.Sequential) -> None:
        super().__init__()
        self.first = first
        self.stages = stages

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the feature map of images ``[N, 3, H, W]``."""
        return [self.stages(self.first(x))]


def make_fbnet_strides(cfg: CfgNode) -> tuple[int, ...]:
    """Return the stride in pixels of the feature map."""
    return (make_architecture(cfg).stride(),)


def make_fbnet_heads(cfg: CfgNode) -> dict[str, Any]:
    """Return the settings of those heads that the architecture has."""
    parts = make_architecture(cfg).parts
    heads: dict[str, Any] = {}
    if "rpn" in parts:
        heads["MODEL.RPN.RPN_HEAD"] = "FBNet.rpn_head"
    if "bbox" in parts and not cfg.MODEL.RPN_ONLY:
        heads |= {
            "MODEL.ROI_BOX_HEAD.FEATURE_EXTRACTOR": "FBNet.roi_head",
            "MODEL.ROI_BOX_HEAD.PREDICTOR": "FastRCNNPredictor",
            "MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION": _POOLED,
        }
    if "mask" in parts and cfg.MODEL.MASK_ON and not cfg.MODEL.RPN_ONLY:
        heads |= {
            "MODEL.ROI_MASK_HEAD.FEATURE_EXTRACTOR": "FBNet.roi_head_mask",
            "MODEL.ROI_MASK_HEAD.PREDICTOR": "MaskRCNNConv1x1Predictor",
            "MODEL.ROI_MASK_HEAD.POOLER_RESOLUTION": _POOLED,
        }
    return heads


def check_fbnet(cfg: CfgNode) -> Iterator[str]:
    """Yield the problems of ``MODEL.FBNET``."""
    options = cfg.MODEL.FBNET
    yield from check_no_checkpointing(cfg)
    yield from check_architecture(cfg)
    for key, more in (("BN_TYPE", ()), ("RPN_BN_TYPE", ("",))):
        if options[key] not in (*BN_TYPES, *more):
            yield f"MODEL.FBNET.{key} is {options[key]!r}; it must be one of {', '.join(BN_TYPES)}"
    for key in ("SCALE_FACTOR", "WIDTH_DIVISOR"):
        if options[key] <= 0:
            yield f"MODEL.FBNET.{key} is {options[key]}; it must be positive"


@BACKBONES.register("FBNet", strides=make_fbnet_strides, check=check_fbnet, heads=make_fbnet_heads)
def build_fbnet_backbone(cfg: CfgNode) -> Backbone:
    """Build the body of ``MODEL.FBNET.ARCH``; no layer is frozen."""
    architecture, builder = make_architecture(cfg), make_block_builder(cfg)
    first, channels = builder.first(*architecture.first)
    stages, out_channels = builder.blocks(channels, architecture.blocks("backbone"))
    return Backbone(OrderedDict(body=FBNetTrunk(first, stages)), out_channels)
