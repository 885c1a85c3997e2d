"""The RPN head of FBNet: blocks of the architecture and 1x1 convolutions."""

from collections.abc import Iterator, Sequence

from torch import Tensor, nn
from yacs.config import CfgNode

from maskrcnn_benchmark.layers import Conv2d
from maskrcnn_benchmark.modeling.fbnet.blocks import make_block_builder
from maskrcnn_benchmark.modeling.fbnet.definition import check_architecture, make_architecture
from maskrcnn_benchmark.modeling.registry import RPN_HEADS

NAME = "FBNet.rpn_head"


class FBNetRPNFeatures(nn.Module):
    """Apply blocks to all levels."""

    def __init__(self, head: nn.Sequential) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Return the features ``[N, C', H, W]`` of each level."""
        return [self.head(feature) for feature in features]


class RPNRegressor(nn.Module):
    """Apply 1x1 convolutions for objectness and offsets to all levels."""

    def __init__(self, in_channels: int, num_anchors: int) -> None:
        super().__init__()
        self.cls_logits = Conv2d(in_channels, num_anchors, 1)
        self.bbox_pred = Conv2d(in_channels, num_anchors * 4, 1)
        for layer in (self.cls_logits, self.bbox_pred):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.get_parameter("bias"))

    def forward(self, features: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Return the logits ``[N, A, H, W]`` and offsets ``[N, 4A, H, W]`` of each level."""
        return [self.cls_logits(f) for f in features], [self.bbox_pred(f) for f in features]


def check_fbnet_rpn_head(cfg: CfgNode) -> Iterator[str]:
    """Check that the architecture has an RPN head with as many blocks as are used."""
    problems = list(check_architecture(cfg))
    yield from problems
    if problems:
        return
    architecture, used = make_architecture(cfg), cfg.MODEL.FBNET.RPN_HEAD_BLOCKS
    if "rpn" not in architecture.parts:
        yield (
            f"MODEL.RPN.RPN_HEAD is {NAME}, which the architecture {cfg.MODEL.FBNET.ARCH} "
            "(MODEL.FBNET.ARCH) does not have: use SingleConvRPNHead"
        )
        return
    blocks = architecture.blocks("rpn")
    if not 0 <= used <= len(blocks):
        yield f"MODEL.FBNET.RPN_HEAD_BLOCKS is {used}; it must be 0 to {len(blocks)}"
    if any(block.stride != 1 for block in blocks):
        yield f"MODEL.FBNET.ARCH_DEF: the blocks of the RPN head must have stride 1, for {NAME}"


@RPN_HEADS.register(NAME, check=check_fbnet_rpn_head)
def build_fbnet_rpn_head(cfg: CfgNode, in_channels: int, num_anchors: int) -> nn.Sequential:
    """Build the head for feature maps with ``in_channels`` channels."""
    options = cfg.MODEL.FBNET
    blocks = make_architecture(cfg).blocks("rpn")[-options.RPN_HEAD_BLOCKS :]
    builder = make_block_builder(cfg, options.RPN_BN_TYPE)
    head, out_channels = builder.blocks(in_channels, blocks)
    return nn.Sequential(FBNetRPNFeatures(head), RPNRegressor(out_channels, num_anchors))
