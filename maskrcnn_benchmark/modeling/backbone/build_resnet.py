"""From the config to a ResNet."""

from torch import nn
from yacs.config import CfgNode

from maskrcnn_benchmark.layers import FrozenBatchNorm2d
from maskrcnn_benchmark.modeling.backbone.resnet import BlockSpec, ResNet, StageSpec, make_stage
from maskrcnn_benchmark.modeling.make_layers import NormMaker, make_group_norm

# number of blocks in the stages layer1 .. layer4
BLOCK_COUNTS = {
    "R-18": (2, 2, 2, 2),
    "R-34": (3, 4, 6, 3),
    "R-50": (3, 4, 6, 3),
    "R-101": (3, 4, 23, 3),
}
BASIC_BLOCKS = ("R-18", "R-34")
LAST_STAGES = {"C4": (3,), "C5": (4,), "FPN": (1, 2, 3, 4)}


def make_norm(cfg: CfgNode, function: str) -> NormMaker:
    """Return the norm that a ``TRANS_FUNC`` or ``STEM_FUNC`` names.

    Raises:
        ValueError: the name is unknown.
    """
    if function.endswith("WithFixedBatchNorm"):
        return FrozenBatchNorm2d
    if function.endswith("WithGN"):
        return make_group_norm(cfg)
    raise ValueError(
        f"MODEL.RESNETS: unknown function {function!r}; it ends with WithFixedBatchNorm or WithGN"
    )


def make_block_spec(cfg: CfgNode) -> BlockSpec:
    """Return what all blocks have in common."""
    options = cfg.MODEL.RESNETS
    return BlockSpec(
        num_groups=options.NUM_GROUPS,
        stride_in_1x1=options.STRIDE_IN_1X1,
        norm=make_norm(cfg, options.TRANS_FUNC),
        modulated_dcn=options.WITH_MODULATED_DCN,
        deformable_groups=options.DEFORMABLE_GROUPS,
    )


def make_last_stage(cfg: CfgNode) -> tuple[nn.Sequential, int]:
    """Return ``layer4`` of the body's depth, for a head behind a C4 body, and its channels."""
    depth = cfg.MODEL.BACKBONE.CONV_BODY.partition("-C")[0]
    stage = make_stage_spec(cfg, 4, BLOCK_COUNTS[depth][3])
    layer4 = make_stage(stage, make_block_spec(cfg), basic=depth in BASIC_BLOCKS)
    return layer4, stage.out_channels


def make_stage_spec(cfg: CfgNode, number: int, count: int) -> StageSpec:
    """Return stage ``number`` (1 to 4) of ``count`` blocks; each stage doubles the channels."""
    options = cfg.MODEL.RESNETS
    factor = 2 ** (number - 1)
    dilation = options.RES5_DILATION if number == 4 else 1
    out_channels = options.RES2_OUT_CHANNELS * factor
    return StageSpec(
        count,
        options.STEM_OUT_CHANNELS if number == 1 else out_channels // 2,
        out_channels,
        width=options.NUM_GROUPS * options.WIDTH_PER_GROUP * factor,
        stride=2 if number > 1 and dilation == 1 else 1,
        dilation=dilation,
        deformable=options.STAGE_WITH_DCN[number - 1],
    )


def build_resnet(cfg: CfgNode) -> ResNet:
    """Build the body that ``MODEL.BACKBONE.CONV_BODY`` names: ``R-50-C4``, ``R-101-FPN``, ...

    Raises:
        ValueError: the name is unknown.
    """
    body = cfg.MODEL.BACKBONE.CONV_BODY
    depth, _, stage = body.rpartition("-")
    if depth not in BLOCK_COUNTS or stage not in LAST_STAGES:
        known = [f"{d}-{s}" for d in BLOCK_COUNTS for s in LAST_STAGES]
        raise ValueError(f"MODEL.BACKBONE.CONV_BODY {body!r} is unknown; known are {known}")
    counts = BLOCK_COUNTS[depth][: LAST_STAGES[stage][-1]]
    resnet = ResNet(
        [make_stage_spec(cfg, number, count) for number, count in enumerate(counts, start=1)],
        make_block_spec(cfg),
        stem_norm=make_norm(cfg, cfg.MODEL.RESNETS.STEM_FUNC),
        basic=depth in BASIC_BLOCKS,
        return_stages=LAST_STAGES[stage],
    )
    resnet.freeze(cfg.MODEL.BACKBONE.FREEZE_CONV_BODY_AT)
    return resnet
