"""Build a ResNet from the config, and check the keys that it reads."""

from collections import OrderedDict
from collections.abc import Iterator

from torch import nn
from yacs.config import CfgNode

from maskrcnn_benchmark.layers import FrozenBatchNorm2d
from maskrcnn_benchmark.modeling.backbone.backbone import (
    Backbone,
    build_fpn_backbone,
    build_retinanet_backbone,
)
from maskrcnn_benchmark.modeling.backbone.resnet import BlockSpec, ResNet, StageSpec, make_stage
from maskrcnn_benchmark.modeling.make_layers import (
    NormMaker,
    make_group_norm,
    make_named_norm,
)
from maskrcnn_benchmark.modeling.registry import BACKBONES

# number of blocks in the stages layer1 .. layer4
BLOCK_COUNTS = {
    "R-18": (2, 2, 2, 2),
    "R-34": (3, 4, 6, 3),
    "R-50": (3, 4, 6, 3),
    "R-101": (3, 4, 23, 3),
    "R-152": (3, 8, 36, 3),
}
BASIC_BLOCKS = ("R-18", "R-34")
LAST_STAGES = {"C4": (3,), "C5": (4,), "FPN": (1, 2, 3, 4), "FPN-RETINANET": (2, 3, 4)}
CONV_BODIES = tuple(f"{depth}-{kind}" for depth in BLOCK_COUNTS for kind in LAST_STAGES)
TRANS_FUNCS = ("BottleneckWithFixedBatchNorm", "BottleneckWithGN")
STEM_FUNCS = ("StemWithFixedBatchNorm", "StemWithGN")


def ends_before_conv5(body: str) -> bool:
    """Return whether a body ends before the last stage, which the ROI heads then add."""
    return body in CONV_BODIES and body.endswith("-C4")


def make_resnet_strides(cfg: CfgNode) -> tuple[int, ...]:
    """Return the stride in pixels of each feature map."""
    last = 16 if cfg.MODEL.RESNETS.RES5_DILATION > 1 else 32
    return {
        "C4": (16,),
        "C5": (last,),
        "FPN": (4, 8, 16, last, 2 * last),
        "FPN-RETINANET": (8, 16, last, 2 * last, 4 * last),
    }[_split_body(cfg.MODEL.BACKBONE.CONV_BODY)[1]]


def _split_body(body: str) -> tuple[str, str]:
    """Return depth and kind of a body: R-50 and FPN-RETINANET of R-50-FPN-RETINANET."""
    letter, depth, kind = body.split("-", 2)
    return f"{letter}-{depth}", kind


def check_resnet(cfg: CfgNode) -> Iterator[str]:
    """Yield the problems of ``MODEL.RESNETS`` and of the number of frozen stages."""
    options, freeze = cfg.MODEL.RESNETS, cfg.MODEL.BACKBONE.FREEZE_CONV_BODY_AT
    for key, known in (("TRANS_FUNC", TRANS_FUNCS), ("STEM_FUNC", STEM_FUNCS)):
        if options[key] not in known:
            yield (f"MODEL.RESNETS.{key} is {options[key]!r}; it must be one of {', '.join(known)}")
    if len(options.STAGE_WITH_DCN) != 4:
        yield f"MODEL.RESNETS.STAGE_WITH_DCN is {options.STAGE_WITH_DCN}; it needs 4 values"
    for key in ("RES5_DILATION", "NUM_GROUPS", "WIDTH_PER_GROUP"):
        if options[key] < 1:
            yield f"MODEL.RESNETS.{key} is {options[key]}; it must be at least 1"
    if not 0 <= freeze <= 5:
        yield f"MODEL.BACKBONE.FREEZE_CONV_BODY_AT is {freeze}; it must be 0 to 5 (stages)"
    depth = _split_body(cfg.MODEL.BACKBONE.CONV_BODY)[0]
    if depth not in BASIC_BLOCKS:
        return
    for key, plain in (("NUM_GROUPS", 1), ("RES5_DILATION", 1), ("STAGE_WITH_DCN", (False,) * 4)):
        if options[key] != plain:
            yield (
                f"MODEL.RESNETS.{key} is {options[key]}; the blocks of {depth} have no such "
                f"convolutions: set it to {plain}, or choose R-50, R-101 or R-152"
            )


def make_norm(cfg: CfgNode, function: str) -> NormMaker:
    """Return the normalization of ``NORM`` or, if unset, of a ``TRANS_FUNC`` or ``STEM_FUNC``.

    Raises:
        ValueError: the name is unknown.
    """
    if cfg.MODEL.RESNETS.NORM:
        return make_named_norm(cfg, cfg.MODEL.RESNETS.NORM)
    if function.endswith("WithFixedBatchNorm"):
        return FrozenBatchNorm2d
    if function.endswith("WithGN"):
        return make_group_norm(cfg)
    raise ValueError(
        f"MODEL.RESNETS: unknown function {function!r}; it ends with WithFixedBatchNorm or WithGN"
    )


def make_block_spec(cfg: CfgNode) -> BlockSpec:
    """Return the options shared by all blocks."""
    options = cfg.MODEL.RESNETS
    return BlockSpec(
        num_groups=options.NUM_GROUPS,
        stride_in_1x1=options.STRIDE_IN_1X1,
        norm=make_norm(cfg, options.TRANS_FUNC),
        modulated_dcn=options.WITH_MODULATED_DCN,
        deformable_groups=options.DEFORMABLE_GROUPS,
    )


def make_last_stage(cfg: CfgNode) -> tuple[nn.Sequential, int]:
    """Return ``layer4`` for a head on a C4 body, and its number of output channels."""
    depth = cfg.MODEL.BACKBONE.CONV_BODY.partition("-C")[0]
    stage = make_stage_spec(cfg, 4, BLOCK_COUNTS[depth][3])
    layer4 = make_stage(stage, make_block_spec(cfg), basic=depth in BASIC_BLOCKS)
    return layer4, stage.out_channels


def make_stage_spec(cfg: CfgNode, number: int, count: int) -> StageSpec:
    """Return stage ``number`` (1 to 4) with ``count`` blocks; each stage doubles the channels."""
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
    """Build the body that ``MODEL.BACKBONE.CONV_BODY`` names: ``R-50-C4``, ``R-101-FPN``, ..."""
    depth, kind = _split_body(cfg.MODEL.BACKBONE.CONV_BODY)
    counts = BLOCK_COUNTS[depth][: LAST_STAGES[kind][-1]]
    resnet = ResNet(
        [make_stage_spec(cfg, number, count) for number, count in enumerate(counts, start=1)],
        make_block_spec(cfg),
        stem_norm=make_norm(cfg, cfg.MODEL.RESNETS.STEM_FUNC),
        basic=depth in BASIC_BLOCKS,
        return_stages=LAST_STAGES[kind],
        checkpointing=cfg.MODEL.BACKBONE.ACTIVATION_CHECKPOINTING,
    )
    resnet.freeze(cfg.MODEL.BACKBONE.FREEZE_CONV_BODY_AT)
    return resnet


@BACKBONES.register(*CONV_BODIES, strides=make_resnet_strides, check=check_resnet)
def build_resnet_backbone(cfg: CfgNode) -> Backbone:
    """Build a ResNet or ResNeXt, with the feature pyramid that its name asks for."""
    body = build_resnet(cfg)
    kind = _split_body(cfg.MODEL.BACKBONE.CONV_BODY)[1]
    if kind == "FPN":
        return build_fpn_backbone(cfg, body, body.stage_channels)
    if kind == "FPN-RETINANET":
        return build_retinanet_backbone(cfg, body, body.stage_channels[1:])
    return Backbone(OrderedDict(body=body), body.stage_channels[-1])
