from yacs.config import CfgNode

from maskrcnn_benchmark.modeling.backbone.backbone import Backbone, build_fpn_backbone
from maskrcnn_benchmark.modeling.backbone.build_resnet import build_resnet_backbone
from maskrcnn_benchmark.modeling.backbone.fbnet import build_fbnet_backbone
from maskrcnn_benchmark.modeling.backbone.timm_backbone import build_timm_backbone
from maskrcnn_benchmark.modeling.registry import BACKBONES

__all__ = [
    "Backbone",
    "build_backbone",
    "build_fbnet_backbone",
    "build_fpn_backbone",
    "build_resnet_backbone",
    "build_timm_backbone",
]


def build_backbone(cfg: CfgNode) -> Backbone:
    """Build the backbone that ``MODEL.BACKBONE.CONV_BODY`` names in ``BACKBONES``.

    Raises:
        ValueError: the name is unknown.
    """
    backbone: Backbone = BACKBONES.build(cfg)
    return backbone
