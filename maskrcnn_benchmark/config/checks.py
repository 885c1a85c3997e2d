"""Validation across keys at startup, before an invalid config can fail in the middle of a run."""

from collections.abc import Iterator, Sequence
from math import inf

from yacs.config import CfgNode

from maskrcnn_benchmark.config._keys import get, one_of
from maskrcnn_benchmark.config.solver_checks import (
    check_precision,
    check_solver,
    check_train_only,
    check_validation,
)


def check_config(cfg: CfgNode, others: Sequence[str] = ()) -> None:
    """Reject a configuration whose keys contradict each other.

    These are the rules across sections; the keys of a part of the model are checked by its registry
    entry (``modeling.detector.check_model``).

    Args:
        cfg: the whole tree, after all merging.
        others: problems found elsewhere, to be reported together with these.

    Raises:
        ValueError: the config is invalid; the message lists all problems and their fixes.
    """
    checks = [_check_switches, _check_norm, _check_thresholds, _check_input, _check_datasets]
    checks += [
        _check_counts,
        _check_views,
        check_solver,
        check_train_only,
        check_validation,
        check_precision,
    ]
    problems = [problem for check in checks for problem in check(cfg)] + list(others)
    if problems:
        raise ValueError("the configuration is inconsistent:\n  " + "\n  ".join(problems))


def _check_switches(cfg: CfgNode) -> Iterator[str]:
    model = cfg.MODEL
    if model.MASKIOU_ON and not model.MASK_ON:
        yield "MODEL.MASKIOU_ON scores masks: set MODEL.MASK_ON True, or MODEL.MASKIOU_ON False"
    if cfg.TEST.MASK_QUALITY and not model.MASK_ON:
        yield "TEST.MASK_QUALITY needs masks: set MODEL.MASK_ON True, or TEST.MASK_QUALITY False"
    for key in ("RPN_ONLY", "RETINANET_ON"):
        if model[key] and model.MASK_ON:
            yield f"MODEL.{key} has no mask head: set MODEL.MASK_ON and MODEL.MASKIOU_ON False"
        if model[key] and model.KEYPOINT_ON:
            yield f"MODEL.{key} has no keypoint head: set MODEL.KEYPOINT_ON False"
    if model.PIXEL_OFFSET not in (0, 1):
        yield f"MODEL.PIXEL_OFFSET is {model.PIXEL_OFFSET}; it must be 1 (inclusive boxes) or 0"
    if model.DEVICE.partition(":")[0] not in ("cuda", "cpu"):
        yield f"MODEL.DEVICE is {model.DEVICE!r}; it must be cuda, cuda:N or cpu"


def _check_norm(cfg: CfgNode) -> Iterator[str]:
    """Check the group norm options, which are shared by body, FPN and heads."""
    norm = cfg.MODEL.GROUP_NORM
    if (norm.DIM_PER_GP > 0) == (norm.NUM_GROUPS > 0):
        yield (
            f"MODEL.GROUP_NORM.DIM_PER_GP is {norm.DIM_PER_GP} and NUM_GROUPS {norm.NUM_GROUPS}; "
            "set one of them, and the other to -1"
        )


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
                f"INPUT.MIN_SIZE_{name} is {', '.join(map(str, smallest))}; it must be "
                f"positive integers of at most INPUT.MAX_SIZE_{name}, {largest}"
            )
    if len(inputs.PIXEL_MEAN) != 3 or len(inputs.PIXEL_STD) != 3 or 0 in inputs.PIXEL_STD:
        yield "INPUT.PIXEL_MEAN and INPUT.PIXEL_STD need three numbers each, with a nonzero std"
    if inputs.COPY_PASTE and cfg.MODEL.KEYPOINT_ON:
        yield (
            "INPUT.COPY_PASTE pastes objects without their keypoints: set it to 0, or "
            "MODEL.KEYPOINT_ON False"
        )
    yield from _check_augmentation(inputs)


def _check_augmentation(inputs: CfgNode) -> Iterator[str]:
    for name, highest in (
        ("HORIZONTAL_FLIP_PROB_TRAIN", 1),
        ("VERTICAL_FLIP_PROB_TRAIN", 1),
        ("BRIGHTNESS", inf),
        ("CONTRAST", inf),
        ("SATURATION", inf),
        ("HUE", 0.5),
        ("COPY_PASTE", 1),
    ):
        if not 0 <= inputs[name] <= highest:
            yield f"INPUT.{name} is {inputs[name]}; it must lie between 0 and {highest}"
    jitter = inputs.LARGE_SCALE_JITTER
    scales = jitter.SCALES
    if len(scales) != 2 or not 0 < scales[0] <= scales[1] or jitter.SIZE < 1:
        yield (
            f"INPUT.LARGE_SCALE_JITTER.SCALES is {scales} and SIZE {jitter.SIZE}; it needs a "
            "smallest and a largest scale above 0, and a positive size"
        )


def _check_views(cfg: CfgNode) -> Iterator[str]:
    """Check the views of test-time augmentation."""
    options = cfg.TEST.BBOX_AUG
    if not options.ENABLED:
        return
    scales, largest = options.SCALES, options.MAX_SIZE
    if not all(type(scale) is int and 0 < scale <= largest for scale in scales):
        yield (
            f"TEST.BBOX_AUG.SCALES is {scales}; it must be positive integers of at most "
            f"TEST.BBOX_AUG.MAX_SIZE, {largest}"
        )
    if cfg.MODEL.RPN_ONLY and not cfg.MODEL.RETINANET_ON:
        yield "TEST.BBOX_AUG.ENABLED merges detections, and MODEL.RPN_ONLY has none"


def _check_datasets(cfg: CfgNode) -> Iterator[str]:
    for name, entry in cfg.DATASETS.CUSTOM.items():
        keys = set(entry) - {"FACTORY"} if isinstance(entry, CfgNode) else set()
        if keys != {"ANN_FILE", "IMG_DIR"}:
            yield (
                f"DATASETS.CUSTOM.{name} needs ANN_FILE and IMG_DIR, optionally FACTORY, and no "
                "other key"
            )
    for key in ("DATASETS.TRAIN", "DATASETS.TEST"):
        names = get(cfg, key)
        if not all(isinstance(name, str) and name for name in names):
            yield f"{key} is {names}; it must be a tuple of data set names"


def _check_counts(cfg: CfgNode) -> Iterator[str]:
    """Check that counts are at least 1."""
    for key in (
        "SOLVER.IMS_PER_BATCH",
        "SOLVER.MAX_ITER",
        "SOLVER.CHECKPOINT_PERIOD",
        "SOLVER.ACCUMULATE",
        "TEST.IMS_PER_BATCH",
        "MODEL.RPN.BATCH_SIZE_PER_IMAGE",
        "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE",
    ):
        value = get(cfg, key)
        if value < 1:
            yield f"{key} is {value}; it must be at least 1"
    if not 0 <= cfg.DATALOADER.REPEAT_THRESHOLD <= 1:
        yield (
            f"DATALOADER.REPEAT_THRESHOLD is {cfg.DATALOADER.REPEAT_THRESHOLD}; it must lie "
            "between 0 and 1"
        )
    if cfg.DATALOADER.NUM_WORKERS < 0:
        yield "DATALOADER.NUM_WORKERS must not be negative"
