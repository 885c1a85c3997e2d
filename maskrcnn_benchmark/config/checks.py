"""Validation across keys: report at startup what would otherwise fail deep inside a run."""

from collections.abc import Iterator
from math import inf

from yacs.config import CfgNode

from maskrcnn_benchmark.config._keys import get, one_of
from maskrcnn_benchmark.config.solver_checks import (
    check_precision,
    check_solver,
    check_train_only,
    check_validation,
)

# Backbones that can be built: depth, and which features they output.
CONV_BODIES = tuple(
    f"{depth}-{kind}" for depth in ("R-18", "R-34", "R-50", "R-101") for kind in ("C4", "C5", "FPN")
)
TRANS_FUNCS = ("BottleneckWithFixedBatchNorm", "BottleneckWithGN")
STEM_FUNCS = ("StemWithFixedBatchNorm", "StemWithGN")
# Heads that bring the last stage, for bodies that end before it (C4), and those that do not.
CONV5_EXTRACTORS = ("ResNet50Conv5ROIFeatureExtractor",)
BOX_EXTRACTORS = ("FPN2MLPFeatureExtractor", "FPNXconv1fcFeatureExtractor")
MASK_EXTRACTORS = ("MaskRCNNFPNFeatureExtractor",)


def check_config(cfg: CfgNode) -> None:
    """Reject a configuration whose keys contradict each other.

    Args:
        cfg: the whole tree, after all merging.

    Raises:
        ValueError: lists all problems and what to set.
    """
    checks = [_check_switches, _check_backbone, _check_levels, _check_rpn, _check_thresholds]
    checks += [_check_input, _check_datasets, _check_counts]
    checks += [check_solver, check_train_only, check_validation, check_precision]
    if not cfg.MODEL.RPN_ONLY:
        checks += [_check_box_head]
        checks += [_check_mask_head] if cfg.MODEL.MASK_ON else []
    problems = [problem for check in checks for problem in check(cfg)]
    if problems:
        raise ValueError("the configuration does not fit together:\n  " + "\n  ".join(problems))


def _uses_fpn(cfg: CfgNode) -> bool:
    return bool(cfg.MODEL.BACKBONE.CONV_BODY.endswith("-FPN"))


def _needs_conv5(cfg: CfgNode) -> bool:
    """Return whether the body ends before the last stage, which the heads then bring."""
    return bool(cfg.MODEL.BACKBONE.CONV_BODY.endswith("-C4"))


def _strides(cfg: CfgNode) -> tuple[int, ...]:
    """Return the stride in pixels of each feature map that the backbone hands on."""
    last = 16 if cfg.MODEL.RESNETS.RES5_DILATION > 1 else 32
    if _uses_fpn(cfg):
        return (4, 8, 16, last, 2 * last)
    return (16,) if _needs_conv5(cfg) else (last,)


def _check_switches(cfg: CfgNode) -> Iterator[str]:
    model = cfg.MODEL
    yield from one_of(cfg, "MODEL.META_ARCHITECTURE", ("GeneralizedRCNN",))
    if model.MASKIOU_ON and not model.MASK_ON:
        yield "MODEL.MASKIOU_ON scores masks: set MODEL.MASK_ON True, or MODEL.MASKIOU_ON False"
    if model.RPN_ONLY and model.MASK_ON:
        yield "MODEL.RPN_ONLY has no mask head: set MODEL.MASK_ON and MODEL.MASKIOU_ON False"
    if model.PIXEL_OFFSET not in (0, 1):
        yield f"MODEL.PIXEL_OFFSET is {model.PIXEL_OFFSET}; it must be 1 (inclusive boxes) or 0"
    if model.DEVICE.partition(":")[0] not in ("cuda", "cpu"):
        yield f"MODEL.DEVICE is {model.DEVICE!r}; it must be cuda, cuda:N or cpu"


def _check_backbone(cfg: CfgNode) -> Iterator[str]:
    yield from one_of(cfg, "MODEL.BACKBONE.CONV_BODY", CONV_BODIES)
    yield from one_of(cfg, "MODEL.RESNETS.TRANS_FUNC", TRANS_FUNCS)
    yield from one_of(cfg, "MODEL.RESNETS.STEM_FUNC", STEM_FUNCS)
    yield from _check_blocks(cfg)
    freeze = cfg.MODEL.BACKBONE.FREEZE_CONV_BODY_AT
    if not 0 <= freeze <= 5:
        yield f"MODEL.BACKBONE.FREEZE_CONV_BODY_AT is {freeze}; it counts stages, from 0 to 5"
    norm = cfg.MODEL.GROUP_NORM
    if (norm.DIM_PER_GP > 0) == (norm.NUM_GROUPS > 0):
        yield (
            f"MODEL.GROUP_NORM.DIM_PER_GP is {norm.DIM_PER_GP} and NUM_GROUPS {norm.NUM_GROUPS}; "
            "set one of them, and the other to -1"
        )


def _check_blocks(cfg: CfgNode) -> Iterator[str]:
    """ResNet-18 and ResNet-34 have blocks without what only bottlenecks can have."""
    depth, options = cfg.MODEL.BACKBONE.CONV_BODY.rpartition("-")[0], cfg.MODEL.RESNETS
    if len(options.STAGE_WITH_DCN) != 4:
        yield f"MODEL.RESNETS.STAGE_WITH_DCN is {options.STAGE_WITH_DCN}; it needs four switches"
    if options.RES5_DILATION < 1:
        yield f"MODEL.RESNETS.RES5_DILATION is {options.RES5_DILATION}; it must be at least 1"
    if depth not in ("R-18", "R-34"):
        return
    for key, plain in (("NUM_GROUPS", 1), ("RES5_DILATION", 1), ("STAGE_WITH_DCN", (False,) * 4)):
        if options[key] != plain:
            yield (
                f"MODEL.RESNETS.{key} is {options[key]}; the blocks of {depth} have no such "
                f"convolutions: set it to {plain}, or choose R-50 or R-101"
            )


def _check_levels(cfg: CfgNode) -> Iterator[str]:
    """Check that the five places that enable FPN agree with the backbone."""
    body, fpn = cfg.MODEL.BACKBONE.CONV_BODY, _uses_fpn(cfg)
    sections = ("MODEL.RPN",) if cfg.MODEL.RPN_ONLY else ("MODEL.RPN", "MODEL.ROI_HEADS")
    for section in sections:
        if get(cfg, f"{section}.USE_FPN") != fpn:
            yield f"{section}.USE_FPN must be {fpn} with MODEL.BACKBONE.CONV_BODY {body}"
    if fpn and (cfg.DATALOADER.SIZE_DIVISIBILITY < 32 or cfg.DATALOADER.SIZE_DIVISIBILITY % 32):
        yield (
            f"DATALOADER.SIZE_DIVISIBILITY is {cfg.DATALOADER.SIZE_DIVISIBILITY}; "
            f"{body} needs a multiple of 32"
        )
    strides = cfg.MODEL.RPN.ANCHOR_STRIDE
    if strides != _strides(cfg):
        yield (
            f"MODEL.RPN.ANCHOR_STRIDE is {strides}; the feature maps of {body} have the strides "
            f"{_strides(cfg)}"
        )
    heads = [] if cfg.MODEL.RPN_ONLY else ["MODEL.ROI_BOX_HEAD"]
    heads += ["MODEL.ROI_MASK_HEAD"] if cfg.MODEL.MASK_ON else []
    for head in heads:
        scales = tuple(get(cfg, f"{head}.POOLER_SCALES"))
        expected = tuple(1.0 / stride for stride in strides[: len(scales)])
        if not scales or (not fpn and len(scales) > 1) or scales != expected:
            yield (
                f"{head}.POOLER_SCALES is {scales}; with MODEL.RPN.ANCHOR_STRIDE {strides} it must "
                f"be {'the first of ' if fpn else ''}{tuple(1.0 / stride for stride in strides)}"
            )


def _check_rpn(cfg: CfgNode) -> Iterator[str]:
    rpn = cfg.MODEL.RPN
    yield from one_of(cfg, "MODEL.RPN.RPN_HEAD", ("SingleConvRPNHead",))
    yield from one_of(cfg, "MODEL.RPN.ANCHOR_RULE", ("legacy", "centred", "torchvision"))
    if rpn.ANCHOR_RULE != "legacy" and cfg.MODEL.PIXEL_OFFSET != 0:
        yield f"MODEL.RPN.ANCHOR_RULE {rpn.ANCHOR_RULE} needs MODEL.PIXEL_OFFSET 0"
    strides, sizes = rpn.ANCHOR_STRIDE, rpn.ANCHOR_SIZES
    if rpn.USE_FPN and len(strides) != len(sizes):
        yield (
            f"MODEL.RPN.ANCHOR_STRIDE has {len(strides)} levels and MODEL.RPN.ANCHOR_SIZES "
            f"{len(sizes)}; FPN needs one size for each stride, as (4, 8, 16, 32, 64) and "
            "(32, 64, 128, 256, 512)"
        )
    if min(strides, default=0) <= 0 or min(sizes, default=0) <= 0:
        yield f"MODEL.RPN.ANCHOR_STRIDE {strides} and ANCHOR_SIZES {sizes} must be positive"


def _check_thresholds(cfg: CfgNode) -> Iterator[str]:
    for section in ("MODEL.RPN", "MODEL.ROI_HEADS"):
        node = get(cfg, section)
        low, high = node.BG_IOU_THRESHOLD, node.FG_IOU_THRESHOLD
        if not 0 <= low <= high <= 1:
            yield (
                f"{section}.BG_IOU_THRESHOLD {low} and FG_IOU_THRESHOLD {high} must be ordered "
                "and lie between 0 and 1"
            )
        fraction = node.POSITIVE_FRACTION
        if not 0 <= fraction <= 1:
            yield f"{section}.POSITIVE_FRACTION is {fraction}; it must lie between 0 and 1"
    if len(cfg.MODEL.ROI_HEADS.BBOX_REG_WEIGHTS) != 4:
        yield "MODEL.ROI_HEADS.BBOX_REG_WEIGHTS needs four numbers, for dx, dy, dw and dh"
    soft = cfg.MODEL.ROI_HEADS.SOFT_NMS
    yield from one_of(cfg, "MODEL.ROI_HEADS.SOFT_NMS.METHOD", ("linear", "gaussian"))
    if soft.SIGMA <= 0:
        yield f"MODEL.ROI_HEADS.SOFT_NMS.SIGMA is {soft.SIGMA}; it must be positive"


def _check_box_head(cfg: CfgNode) -> Iterator[str]:
    conv5 = _needs_conv5(cfg)
    key = "MODEL.ROI_BOX_HEAD.FEATURE_EXTRACTOR"
    yield from one_of(cfg, key, CONV5_EXTRACTORS if conv5 else BOX_EXTRACTORS)
    predictor = "FastRCNNPredictor" if conv5 else "FPNPredictor"
    yield from one_of(cfg, "MODEL.ROI_BOX_HEAD.PREDICTOR", (predictor,))
    if cfg.MODEL.ROI_BOX_HEAD.NUM_CLASSES < 2:
        yield "MODEL.ROI_BOX_HEAD.NUM_CLASSES counts the background too: it must be at least 2"


def _check_mask_head(cfg: CfgNode) -> Iterator[str]:
    head, conv5 = cfg.MODEL.ROI_MASK_HEAD, _needs_conv5(cfg)
    key = "MODEL.ROI_MASK_HEAD.FEATURE_EXTRACTOR"
    yield from one_of(cfg, key, CONV5_EXTRACTORS if conv5 else MASK_EXTRACTORS)
    yield from one_of(cfg, "MODEL.ROI_MASK_HEAD.PREDICTOR", ("MaskRCNNC4Predictor",))
    if head.SHARE_BOX_FEATURE_EXTRACTOR and not conv5:
        kind = cfg.MODEL.BACKBONE.CONV_BODY.rpartition("-")[2]
        yield (
            f"MODEL.ROI_MASK_HEAD.SHARE_BOX_FEATURE_EXTRACTOR must be False with {kind}: "
            "the box head flattens its features"
        )
    shared = head.SHARE_BOX_FEATURE_EXTRACTOR and conv5
    pooled = cfg.MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION if shared else head.POOLER_RESOLUTION
    # conv5 halves the side on C4, rounding up, unless it is dilated; the predictor doubles it
    stride = 2 if conv5 and cfg.MODEL.RESNETS.RES5_DILATION == 1 else 1
    resolution = 2 * -(-pooled // stride)
    source = f"MODEL.{'ROI_BOX_HEAD' if shared else 'ROI_MASK_HEAD'}.POOLER_RESOLUTION"
    if resolution != head.RESOLUTION:
        yield (
            f"MODEL.ROI_MASK_HEAD.RESOLUTION is {head.RESOLUTION}; with {source} {pooled} the "
            f"head's masks have the side {resolution}"
        )
    elif cfg.MODEL.MASKIOU_ON and resolution % pooled:
        yield (
            f"{source} is {pooled}; the masks' side {resolution} must be a multiple of it for "
            "MODEL.MASKIOU_ON, so it must be even on C4"
        )


def _check_input(cfg: CfgNode) -> Iterator[str]:
    inputs = cfg.INPUT
    yield from one_of(cfg, "INPUT.SIZE_ROUNDING", ("down", "nearest"))
    train = inputs.MIN_SIZE_TRAIN
    for name, smallest, largest in (
        ("TRAIN", train if isinstance(train, tuple) else (train,), inputs.MAX_SIZE_TRAIN),
        ("TEST", (inputs.MIN_SIZE_TEST,), inputs.MAX_SIZE_TEST),
    ):
        if not smallest or not all(type(size) is int and 0 < size <= largest for size in smallest):
            yield (
                f"INPUT.MIN_SIZE_{name} is {', '.join(map(str, smallest))}; it must be whole, "
                f"positive and at most INPUT.MAX_SIZE_{name}, {largest}"
            )
    if len(inputs.PIXEL_MEAN) != 3 or len(inputs.PIXEL_STD) != 3 or 0 in inputs.PIXEL_STD:
        yield "INPUT.PIXEL_MEAN and INPUT.PIXEL_STD need three numbers each, the std not zero"
    yield from _check_augmentation(inputs)


def _check_augmentation(inputs: CfgNode) -> Iterator[str]:
    for name, highest in (
        ("HORIZONTAL_FLIP_PROB_TRAIN", 1),
        ("VERTICAL_FLIP_PROB_TRAIN", 1),
        ("BRIGHTNESS", inf),
        ("CONTRAST", inf),
        ("SATURATION", inf),
        ("HUE", 0.5),
    ):
        if not 0 <= inputs[name] <= highest:
            yield f"INPUT.{name} is {inputs[name]}; it must lie between 0 and {highest}"
    jitter = inputs.LARGE_SCALE_JITTER
    scales = jitter.SCALES
    if len(scales) != 2 or not 0 < scales[0] <= scales[1] or jitter.SIZE < 1:
        yield (
            f"INPUT.LARGE_SCALE_JITTER.SCALES is {scales} and SIZE {jitter.SIZE}; it needs a "
            "lowest and a highest scale above 0, and a positive size"
        )


def _check_datasets(cfg: CfgNode) -> Iterator[str]:
    for name, entry in cfg.DATASETS.CUSTOM.items():
        if not isinstance(entry, CfgNode) or set(entry) != {"ANN_FILE", "IMG_DIR"}:
            yield f"DATASETS.CUSTOM.{name} needs ANN_FILE and IMG_DIR, and nothing else"
    for key in ("DATASETS.TRAIN", "DATASETS.TEST"):
        names = get(cfg, key)
        if not all(isinstance(name, str) and name for name in names):
            yield f"{key} is {names}; it must hold names of data sets"


def _check_counts(cfg: CfgNode) -> Iterator[str]:
    """Check that keys that count something are at least 1."""
    for key in (
        "SOLVER.IMS_PER_BATCH",
        "SOLVER.MAX_ITER",
        "SOLVER.CHECKPOINT_PERIOD",
        "SOLVER.ACCUMULATE",
        "TEST.IMS_PER_BATCH",
        "MODEL.RPN.BATCH_SIZE_PER_IMAGE",
        "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE",
        "MODEL.RESNETS.NUM_GROUPS",
        "MODEL.RESNETS.WIDTH_PER_GROUP",
    ):
        value = get(cfg, key)
        if value < 1:
            yield f"{key} is {value}; it must be at least 1"
    if cfg.DATALOADER.NUM_WORKERS < 0:
        yield "DATALOADER.NUM_WORKERS must not be negative"
