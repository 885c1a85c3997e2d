"""Validation of the training keys: SOLVER, DTYPE and SEED."""

from collections.abc import Iterator

from yacs.config import CfgNode

from maskrcnn_benchmark.config._keys import get, one_of

LR_SCHEDULERS = ("WarmupMultiStepLR", "WarmupCosineLR")
DTYPES = ("float32", "float16", "bfloat16")
_AP = ("AP", "AP50", "AP75", "APs", "APm", "APl")
_AR = tuple(f"AR{area}@{limit}" for limit in (10, 100, 1000) for area in ("", "s", "m", "l"))


def check_solver(cfg: CfgNode) -> Iterator[str]:
    """Check the learning rate, its schedule and the optimization step."""
    solver = cfg.SOLVER
    yield from one_of(cfg, "SOLVER.WARMUP_METHOD", ("constant", "linear"))
    yield from one_of(cfg, "SOLVER.LR_SCHEDULER_NAME", LR_SCHEDULERS)
    if list(solver.STEPS) != sorted(solver.STEPS):
        yield f"SOLVER.STEPS is {solver.STEPS}; it must not decrease"
    if solver.BASE_LR <= 0:
        yield f"SOLVER.BASE_LR is {solver.BASE_LR}; it must be positive"
    for key in (
        "SOLVER.CLIP_GRAD_NORM",
        "SOLVER.CLIP_GRAD_VALUE",
        "SOLVER.TEST_PERIOD",
        "SOLVER.REFERENCE_BATCH",
    ):
        if get(cfg, key) < 0:
            yield f"{key} is {get(cfg, key)}; it must be positive, or 0 to switch it off"
    yield from one_of(cfg, "SOLVER.ALLREDUCE_DTYPE", ("float32", "bfloat16"))
    if not 0 <= cfg.SEED < 2**31:
        yield f"SEED is {cfg.SEED}; it must be at least 0 and less than 2**31"
    if not 0 <= solver.EMA_DECAY < 1:
        yield f"SOLVER.EMA_DECAY is {solver.EMA_DECAY}; it must be at least 0 and less than 1"
    if solver.ACCUMULATE > solver.IMS_PER_BATCH:
        yield (
            f"SOLVER.ACCUMULATE is {solver.ACCUMULATE}; it must not exceed the batch size, "
            f"SOLVER.IMS_PER_BATCH {solver.IMS_PER_BATCH}"
        )


def check_train_only(cfg: CfgNode) -> Iterator[str]:
    """Check that the part to train exists."""
    part, parts = cfg.SOLVER.TRAIN_ONLY, ("rpn", "box", "mask", "maskiou", "keypoint")
    if part not in ("", *parts):
        yield f"SOLVER.TRAIN_ONLY is {part!r}; it must be empty or one of {', '.join(parts)}"
    one_stage = cfg.MODEL.RETINANET_ON
    for name, key, there in (
        ("rpn", "MODEL.RETINANET_ON False", not one_stage),
        ("box", "MODEL.RPN_ONLY and RETINANET_ON False", not (one_stage or cfg.MODEL.RPN_ONLY)),
        ("mask", "MODEL.MASK_ON True", cfg.MODEL.MASK_ON),
        ("maskiou", "MODEL.MASKIOU_ON True", cfg.MODEL.MASKIOU_ON),
        ("keypoint", "MODEL.KEYPOINT_ON True", cfg.MODEL.KEYPOINT_ON),
    ):
        if name == part and not there:
            yield f"SOLVER.TRAIN_ONLY {part} needs {key}"


def check_validation(cfg: CfgNode) -> Iterator[str]:
    """Check the evaluation during training."""
    solver, model = cfg.SOLVER, cfg.MODEL
    if solver.TEST_PERIOD > 0 and not cfg.DATASETS.TEST:
        yield "SOLVER.TEST_PERIOD evaluates DATASETS.TEST, which is empty"
    tasks = ["bbox"] + ["segm"] * model.MASK_ON + ["segm_by_class_score"] * model.MASKIOU_ON
    known = [f"{task}_{metric}" for task in tasks for metric in _AP]
    if model.KEYPOINT_ON:
        known += [f"keypoints_{metric}" for metric in _AP if metric != "APs"]  # COCO has none
    if model.RPN_ONLY and not model.RETINANET_ON:
        known = [f"box_proposal_{metric}" for metric in _AR]
    if solver.BEST_METRIC:
        yield from one_of(cfg, "SOLVER.BEST_METRIC", known)


def check_precision(cfg: CfgNode) -> Iterator[str]:
    """Check the precision."""
    yield from one_of(cfg, "DTYPE", DTYPES)
