"""Feature extractors of FBNet's box head and mask head: blocks of the architecture.

Shapes: R ROIs of the batch, C channels, P pooled size.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from torch import Tensor, nn
from yacs.config import CfgNode

from maskrcnn_benchmark.modeling.fbnet.architectures import Block
from maskrcnn_benchmark.modeling.fbnet.blocks import make_block_builder
from maskrcnn_benchmark.modeling.fbnet.definition import check_architecture, make_architecture
from maskrcnn_benchmark.modeling.poolers import Pooler, make_pooler
from maskrcnn_benchmark.modeling.registry import (
    ROI_BOX_FEATURE_EXTRACTORS,
    ROI_MASK_FEATURE_EXTRACTORS,
)
from maskrcnn_benchmark.structures.bounding_box import BoxList

BOX, MASK = "FBNet.roi_head", "FBNet.roi_head_mask"
# stages in the architecture -> prefix of the keys of MODEL.FBNET, section of the head
_SETTINGS = {"bbox": ("DET", "ROI_BOX_HEAD"), "mask": ("MASK", "ROI_MASK_HEAD")}


class FBNetROIHead(nn.Module):
    """Pool the boxes and apply blocks.

    Args:
        pooler: pools the boxes.
        blocks: the blocks.
        last: the last convolution; empty for none.
        out_channels: number of channels of the features.
    """

    def __init__(
        self, pooler: Pooler, blocks: nn.Sequential, last: nn.Sequential, out_channels: int
    ) -> None:
        super().__init__()
        self.pooler = pooler
        self.head = nn.Sequential(OrderedDict(blocks=blocks, last=last))
        self.out_channels = out_channels

    def forward(
        self, features: Sequence[Tensor], boxes: Sequence[BoxList]
    ) -> tuple[Tensor, Tensor]:
        """Return the pooled features ``[R, C, P, P]`` and the features ``[R, C', P', P']``."""
        pooled = self.pooler(features, boxes)
        return pooled, self.head(pooled)


def make_head_blocks(cfg: CfgNode, part: str) -> list[Block]:
    """Return the blocks of ``bbox`` or ``mask`` that ``MODEL.FBNET`` selects."""
    prefix, _ = _SETTINGS[part]
    blocks = make_architecture(cfg).blocks(part)
    if chosen := cfg.MODEL.FBNET[f"{prefix}_HEAD_BLOCKS"]:
        blocks = [blocks[number] for number in chosen]
    if stride := cfg.MODEL.FBNET[f"{prefix}_HEAD_STRIDE"]:
        blocks = [replace(blocks[0], stride=stride), *blocks[1:]]
    return blocks


def make_mask_features_side(cfg: CfgNode, pooled: int) -> int:
    """Return the size of the mask features for a pooled size; 0 if there are none."""
    if list(check_architecture(cfg)) or "mask" not in make_architecture(cfg).parts:
        return 0
    for block in make_head_blocks(cfg, "mask"):
        pooled = block.output_side(pooled)
    return pooled


def make_head_check(part: str, name: str) -> Callable[[CfgNode], Iterator[str]]:
    """Return a check that the architecture has the blocks of a head.

    Args:
        part: ``bbox`` or ``mask``.
        name: name of the feature extractor.
    """

    def check(cfg: CfgNode) -> Iterator[str]:
        problems = list(check_architecture(cfg))
        yield from problems
        if problems:
            return
        prefix, section = _SETTINGS[part]
        architecture = make_architecture(cfg)
        if part not in architecture.parts:
            yield (
                f"MODEL.{section}.FEATURE_EXTRACTOR is {name}, which the architecture "
                f"{cfg.MODEL.FBNET.ARCH} (MODEL.FBNET.ARCH) does not have: choose another one"
            )
            return
        count = len(architecture.blocks(part))
        chosen = cfg.MODEL.FBNET[f"{prefix}_HEAD_BLOCKS"]
        if not all(isinstance(n, int) and 0 <= n < count for n in chosen):
            yield f"MODEL.FBNET.{prefix}_HEAD_BLOCKS is {chosen}; the blocks are 0 to {count - 1}"
        stride = cfg.MODEL.FBNET[f"{prefix}_HEAD_STRIDE"]
        if stride not in (0, 1, 2):
            yield f"MODEL.FBNET.{prefix}_HEAD_STRIDE is {stride}; it must be 0, 1 or 2"

    return check


def check_fbnet_box_head(cfg: CfgNode) -> Iterator[str]:
    """Check the blocks, and that the predictor takes maps."""
    yield from make_head_check("bbox", BOX)(cfg)
    predictor = cfg.MODEL.ROI_BOX_HEAD.PREDICTOR
    if predictor == "FPNPredictor":
        yield f"MODEL.ROI_BOX_HEAD.PREDICTOR is {predictor}; use FastRCNNPredictor with {BOX}"


def make_fbnet_head(cfg: CfgNode, part: str, in_channels: int) -> FBNetROIHead:
    """Return the head of ``bbox`` or ``mask`` for feature maps with ``in_channels`` channels."""
    prefix, section = _SETTINGS[part]
    builder = make_block_builder(cfg)
    blocks, channels = builder.blocks(in_channels, make_head_blocks(cfg, part))
    last, channels = builder.last(
        channels,
        make_architecture(cfg).last_channels,
        cfg.MODEL.FBNET[f"{prefix}_HEAD_LAST_SCALE"],
    )
    return FBNetROIHead(make_pooler(cfg.MODEL[section]), blocks, last, channels)


@ROI_BOX_FEATURE_EXTRACTORS.register(BOX, check=check_fbnet_box_head)
def build_fbnet_box_head(cfg: CfgNode, in_channels: int) -> FBNetROIHead:
    """Build the box head for feature maps with ``in_channels`` channels."""
    return make_fbnet_head(cfg, "bbox", in_channels)


@ROI_MASK_FEATURE_EXTRACTORS.register(
    MASK, check=make_head_check("mask", MASK), side=make_mask_features_side
)
def build_fbnet_mask_head(cfg: CfgNode, in_channels: int) -> FBNetROIHead:
    """Build the mask head for feature maps with ``in_channels`` channels."""
    return make_fbnet_head(cfg, "mask", in_channels)
