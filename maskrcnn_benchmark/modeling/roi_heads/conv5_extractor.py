"""Feature extractor of C4 models, for the box head and the mask head: the last ResNet stage.

Shapes: R ROIs of the batch, C channels, P pooled size.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence

from torch import Tensor, nn
from yacs.config import CfgNode

from maskrcnn_benchmark.modeling.backbone.build_resnet import ends_before_conv5, make_last_stage
from maskrcnn_benchmark.modeling.poolers import Pooler, make_pooler
from maskrcnn_benchmark.structures.bounding_box import BoxList

CONV5_EXTRACTOR = "ResNet50Conv5ROIFeatureExtractor"


def make_conv5_check(key: str, *, brings_conv5: bool) -> Callable[[CfgNode], Iterator[str]]:
    """Return a check that an ROI feature extractor fits the body, which may lack conv5 (C4).

    Args:
        key: config key that names the extractor.
        brings_conv5: whether the extractor contains the last stage of a C4 body.
    """

    def check(cfg: CfgNode) -> Iterator[str]:
        body = cfg.MODEL.BACKBONE.CONV_BODY
        if ends_before_conv5(body) and not brings_conv5:
            yield (
                f"{key} must be {CONV5_EXTRACTOR} with MODEL.BACKBONE.CONV_BODY {body}, which ends "
                "before its last stage"
            )
        elif brings_conv5 and not ends_before_conv5(body):
            yield (
                f"{key} is {CONV5_EXTRACTOR}, which adds the last stage to a body that ends "
                f"before it (C4); MODEL.BACKBONE.CONV_BODY is {body}: choose another extractor"
            )

    return check


class ResNet50Conv5ROIFeatureExtractor(nn.Module):
    """Pool the boxes and apply the last ResNet stage, for a backbone that ends before it (C4).

    Args:
        pooler: pools the boxes.
        layer4: the last stage.
        out_channels: its number of output channels.
    """

    def __init__(self, pooler: Pooler, layer4: nn.Module, out_channels: int) -> None:
        super().__init__()
        self.pooler = pooler
        self.head = nn.Sequential(OrderedDict(layer4=layer4))
        self.out_channels = out_channels

    def forward(
        self, features: Sequence[Tensor], boxes: Sequence[BoxList]
    ) -> tuple[Tensor, Tensor]:
        """Return the features ``[R, C, P, P]`` before and ``[R, C', P', P']`` after the stage."""
        pooled = self.pooler(features, boxes)
        return pooled, self.head(pooled)


def build_conv5_feature_extractor(
    cfg: CfgNode, options: CfgNode
) -> ResNet50Conv5ROIFeatureExtractor:
    """Build the pooler of ``options`` followed by ``layer4`` for the depth of the body."""
    return ResNet50Conv5ROIFeatureExtractor(make_pooler(options), *make_last_stage(cfg))


def make_conv5_side(cfg: CfgNode, pooled: int) -> int:
    """Return the size of the features for a pooled size: half, rounded up, unless dilated."""
    halves = cfg.MODEL.RESNETS.RES5_DILATION == 1
    # with another body, ``make_conv5_check`` refuses the extractor
    return -(-pooled // 2) if halves and ends_before_conv5(cfg.MODEL.BACKBONE.CONV_BODY) else pooled
