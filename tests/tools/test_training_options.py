"""Real trainings of toy size with what is off by default."""

from __future__ import annotations

import json

import pytest
import torch

from tests.tools.test_resume import assert_equal, final, leave_as_killed_half_way
from tests.tools.toy import draw_data, tool, toy_config, train

# an untrained model finds much; a few of it evaluate quickly
FEW = {"MODEL__RPN__POST_NMS_TOP_N_TEST": 20, "MODEL__RPN__FPN_POST_NMS_TOP_N_TEST": 20}
EVERYTHING = {
    **FEW,
    "SOLVER__MAX_ITER": 3,
    "DTYPE": "bfloat16",
    "SOLVER__TEST_PERIOD": 2,
    "SOLVER__ACCUMULATE": 2,
    "SOLVER__CLIP_GRAD_NORM": 1.0,
    "SOLVER__EMA_DECAY": 0.5,
    "SOLVER__LR_SCHEDULER_NAME": "WarmupCosineLR",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return draw_data(tmp_path_factory.mktemp("toy"))


@pytest.fixture
def deterministic():
    tool("train_net").make_deterministic()
    yield
    torch.use_deterministic_algorithms(False)


def figures(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_resumed_run_with_everything_equals_an_uninterrupted_one(data, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(toy_config(data, whole, **EVERYTHING))
    leave_as_killed_half_way(whole, parts)
    train(toy_config(data, parts, **EVERYTHING))
    assert_equal(final(parts), final(whole))
    end = final(whole)
    assert end["ema"]["n_averaged"] == 3
    name = "roi_heads.box.predictor.cls_score.weight"
    assert not torch.equal(end["ema"][f"module.{name}"], end["model"][name])
    assert {"loss_maskiou", "grad_norm"} <= figures(whole)[-2].keys()
    assert "segm_by_class_score_AP" in figures(whole)[-1]


def test_half_precision_trains_with_finite_losses(data, tmp_path):
    train(toy_config(data, tmp_path, DTYPE="float16", SOLVER__MAX_ITER=1))
    assert {"loss_classifier", "loss_mask", "loss_maskiou"} <= figures(tmp_path)[0].keys()
    assert final(tmp_path)["scaler"]["scale"] in (2.0**16, 2.0**15)  # without and with overflow


def test_evaluations_and_deterministic_algorithms_leave_the_bits(data, tmp_path, deterministic):
    short = {"SOLVER__MAX_ITER": 2, **FEW}
    train(toy_config(data, tmp_path / "evaluated", SOLVER__TEST_PERIOD=1, **short))
    torch.use_deterministic_algorithms(False)
    train(toy_config(data, tmp_path / "plain", **short))
    assert_equal(final(tmp_path / "evaluated")["model"], final(tmp_path / "plain")["model"])
