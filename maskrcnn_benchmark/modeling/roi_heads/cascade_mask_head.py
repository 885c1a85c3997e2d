"""A mask head for each stage of a cascade, whose masks are averaged (mmdetection).

All of them see the same boxes. The parts are registered as feature extractor and predictor of an
ordinary mask head: the extractor only pools, the predictor has the convolutions of each stage.

Shapes: R ROIs of the batch, K classes with background, C channels, P pooled size, M mask size.
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from yacs.config import CfgNode

from maskrcnn_benchmark.layers import full_precision
from maskrcnn_benchmark.modeling.make_layers import conv3x3, make_norm
from maskrcnn_benchmark.modeling.poolers import Pooler, make_pooler
from maskrcnn_benchmark.modeling.registry import ROI_MASK_FEATURE_EXTRACTORS, ROI_MASK_PREDICTOR
from maskrcnn_benchmark.modeling.roi_heads.conv5_extractor import make_conv5_check
from maskrcnn_benchmark.structures.bounding_box import BoxList

EXTRACTOR = "PooledFeatureExtractor"
PREDICTOR = "MeanMaskPredictor"
_EPS = 1e-7  # bound of the mean probabilities, whose logits are finite then
_OF_A_STAGE = "MaskRCNNC4Predictor"


class PooledFeatureExtractor(nn.Module):
    """Pool the boxes."""

    def __init__(self, pooler: Pooler, out_channels: int) -> None:
        super().__init__()
        self.pooler = pooler
        self.out_channels = out_channels

    def forward(
        self, features: Sequence[Tensor], boxes: Sequence[BoxList]
    ) -> tuple[Tensor, Tensor]:
        """Return the pooled features ``[R, C, P, P]`` of the boxes, twice."""
        pooled = self.pooler(features, boxes)
        return pooled, pooled


class MaskStage(nn.Module):
    """The convolutions and the predictor of one stage.

    Args:
        convs: convolutions, each followed by ReLU.
        predictor: maps their output to mask logits.
    """

    def __init__(self, convs: Sequence[nn.Module], predictor: nn.Module) -> None:
        super().__init__()
        self.convs = nn.ModuleList(convs)
        self.predictor = predictor

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``[R, K, M, M]`` of pooled features ``[R, C, P, P]``."""
        for conv in self.convs:
            x = F.relu(conv(x))
        logits: Tensor = self.predictor(x)
        return logits


class MeanMaskPredictor(nn.Module):
    """Average the mask probabilities of several stages."""

    def __init__(self, stages: Sequence[nn.Module]) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``[R, K, M, M]`` of the mean probabilities."""
        masks = [full_precision(stage(x)).sigmoid() for stage in self.stages]
        return torch.stack(masks).mean(dim=0).logit(eps=_EPS)


@ROI_MASK_FEATURE_EXTRACTORS.register(
    EXTRACTOR, check=make_conv5_check("MODEL.ROI_MASK_HEAD.FEATURE_EXTRACTOR", brings_conv5=False)
)
def build_pooled_features(cfg: CfgNode, in_channels: int) -> PooledFeatureExtractor:
    """Build the pooler for feature maps with ``in_channels`` channels."""
    return PooledFeatureExtractor(make_pooler(cfg.MODEL.ROI_MASK_HEAD), in_channels)


def check_mean_mask_predictor(cfg: CfgNode) -> Iterator[str]:
    """Check the extractor, and what the predictor of each stage needs."""
    extractor = cfg.MODEL.ROI_MASK_HEAD.FEATURE_EXTRACTOR
    if extractor != EXTRACTOR:
        yield (
            f"MODEL.ROI_MASK_HEAD.FEATURE_EXTRACTOR is {extractor}; it must be {EXTRACTOR} with "
            f"{PREDICTOR}, which has the convolutions"
        )
    yield from ROI_MASK_PREDICTOR.entry(_OF_A_STAGE).check(cfg)


def _build_stage(cfg: CfgNode, in_channels: int) -> MaskStage:
    options, convs = cfg.MODEL.ROI_MASK_HEAD, []
    for channels in options.CONV_LAYERS:
        norm = make_norm(cfg, options)
        convs.append(conv3x3(in_channels, channels, dilation=options.DILATION, norm=norm))
        in_channels = channels
    return MaskStage(convs, ROI_MASK_PREDICTOR[_OF_A_STAGE](cfg, in_channels))


@ROI_MASK_PREDICTOR.register(PREDICTOR, check=check_mean_mask_predictor)
def build_mean_mask_predictor(cfg: CfgNode, in_channels: int) -> MeanMaskPredictor:
    """Build a mask head for each of ``MODEL.ROI_BOX_CASCADE_HEAD.IOUS``."""
    count = len(cfg.MODEL.ROI_BOX_CASCADE_HEAD.IOUS)
    return MeanMaskPredictor([_build_stage(cfg, in_channels) for _ in range(count)])
