"""Training settings that the checks refuse or accept."""

import pytest

from maskrcnn_benchmark.config import cfg, check_config
from tests.config.test_checks import ms_rcnn


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["SOLVER.WARMUP_METHOD", "cosine"], "constant, linear"),
        (["SOLVER.LR_SCHEDULER_NAME", "StepLR"], "WarmupMultiStepLR, WarmupCosineLR"),
        (["SOLVER.TRAIN_ONLY", "X"], "rpn, box, mask, maskiou"),
        (
            ["SOLVER.TRAIN_ONLY", "maskiou", "MODEL.MASKIOU_ON", False],
            "maskiou needs MODEL.MASKIOU",
        ),
        (["SOLVER.STEPS", (2, 1)], "not decrease"),
        (["SOLVER.BASE_LR", 0], "positive"),
        (["SOLVER.ACCUMULATE", 0], "SOLVER.ACCUMULATE is 0"),
        (["SOLVER.ACCUMULATE", 17], "must not exceed the batch size"),
        (["SOLVER.CLIP_GRAD_NORM", -1.0], "SOLVER.CLIP_GRAD_NORM is -1"),
        (["SOLVER.CLIP_GRAD_VALUE", -1.0], "SOLVER.CLIP_GRAD_VALUE is -1"),
        (["SOLVER.TEST_PERIOD", -5], "SOLVER.TEST_PERIOD is -5"),
        (["SOLVER.TEST_PERIOD", 5, "DATASETS.TEST", ()], "DATASETS.TEST, which is empty"),
        (["SOLVER.EMA_DECAY", 1.0], "less than 1"),
        (["SOLVER.BEST_METRIC", "AP"], "segm_by_class_score_AP"),
        (["SOLVER.BEST_METRIC", "box_proposal_AR@100"], "bbox_AP, "),
        (["SOLVER.ALLREDUCE_DTYPE", "float16"], "float32, bfloat16"),
        (["DTYPE", "half"], "float32, float16, bfloat16"),
    ],
)
def test_contradictions_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        check_config(ms_rcnn(*options))


def test_everything_on_passes():
    check_config(
        ms_rcnn(
            *("SOLVER.LR_SCHEDULER_NAME", "WarmupCosineLR", "SOLVER.ACCUMULATE", 8),
            *("SOLVER.CLIP_GRAD_NORM", 10, "SOLVER.CLIP_GRAD_VALUE", 1.0),
            *("SOLVER.TEST_PERIOD", 5000, "SOLVER.BEST_METRIC", "segm_by_class_score_AP50"),
            *("SOLVER.EMA_DECAY", 0.999, "DTYPE", "bfloat16"),
        )
    )


def test_the_figures_of_an_rpn_alone():
    config = cfg.clone()
    config.merge_from_list(["MODEL.RPN_ONLY", True, "SOLVER.BEST_METRIC", "box_proposal_ARs@100"])
    check_config(config)
    config.SOLVER.BEST_METRIC = "bbox_AP"
    with pytest.raises(ValueError, match=r"box_proposal_AR@10,"):
        check_config(config)
