"""Tiny trainings with options that are off by default."""

import json
import os

import pytest
import torch

from maskrcnn_benchmark.engine.launch import training
from maskrcnn_benchmark.engine.launch.processes import deterministic_algorithms
from maskrcnn_benchmark.engine.random_state import seed_generators
from maskrcnn_benchmark.engine.stop_request import StoppableLoader, StopRequest
from maskrcnn_benchmark.modeling.detector import build_detection_model
from tests.engine.stand_ins import TinyModel, tiny_loader
from tests.tools.test_resume import assert_equal, final, leave_as_killed_half_way
from tests.tools.toy import FEW, draw_data, tool, toy_config, train

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


def metrics(folder):
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
    assert {"loss_maskiou", "grad_norm"} <= metrics(whole)[-2].keys()
    assert "segm_by_class_score_AP" in metrics(whole)[-1]


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_train_only_leaves_the_rest_and_logs_the_losses_of_its_part(data, tmp_path, decay):
    config = toy_config(
        *(data, tmp_path),
        SOLVER__TRAIN_ONLY="maskiou",
        SOLVER__MAX_ITER=1,
        SOLVER__BASE_LR=1.0,
        SOLVER__EMA_DECAY=decay,
    )
    train(config)
    seed_generators(config.SEED)
    initial, end = build_detection_model(config).state_dict(), final(tmp_path)["model"]
    assert initial.keys() == end.keys()
    moved = {name for name in end if not end[name].equal(initial[name])}
    assert moved == {name for name in end if name.startswith("roi_heads.maskiou.")}
    losses = {name for name in metrics(tmp_path)[0] if name.startswith("loss_")}
    assert losses == {"loss_maskiou"}


def test_half_precision_trains_with_finite_losses(data, tmp_path):
    train(toy_config(data, tmp_path, DTYPE="float16", SOLVER__MAX_ITER=1))
    assert {"loss_classifier", "loss_mask", "loss_maskiou"} <= metrics(tmp_path)[0].keys()
    assert final(tmp_path)["scaler"]["scale"] in (2.0**16, 2.0**15)  # without and with overflow


def test_evaluations_and_deterministic_algorithms_keep_results_bitwise_equal(data, tmp_path):
    short = {"SOLVER__MAX_ITER": 2, **FEW}
    with deterministic_algorithms():
        train(toy_config(data, tmp_path / "evaluated", SOLVER__TEST_PERIOD=1, **short))
    train(toy_config(data, tmp_path / "plain", **short))
    assert_equal(final(tmp_path / "evaluated")["model"], final(tmp_path / "plain")["model"])


@pytest.fixture
def tested(monkeypatch):
    """Replace test sets and evaluation; return a list that records each model and loader."""
    calls = []

    def run_tests(_, model, device, loaders=None):
        calls.append((model, loaders))
        return {}

    monkeypatch.setattr(training, "run_tests", run_tests)
    monkeypatch.setattr(training, "make_test_loaders", lambda _: {"a": tiny_loader(3)})
    return calls


@pytest.fixture
def tiny_detector(monkeypatch):
    """A stand-in for the detector."""
    model = TinyModel()
    monkeypatch.setattr(training, "build_detection_model", lambda *_, **__: model)
    return model


@pytest.mark.parametrize("decay", [0.0, 0.75])
def test_averaged_weights_are_evaluated_if_present(data, tmp_path, tested, tiny_detector, decay):
    changes = {"SOLVER__TEST_PERIOD": 2, "SOLVER__EMA_DECAY": decay, "MODEL__RPN_ONLY": True}
    made = training.make_training(toy_config(data, tmp_path, **changes), torch.device("cpu"))
    made.options.validation.evaluate(StopRequest("cpu"))
    made.evaluation.at_the_end()
    (during, loaders), (end, _) = tested
    assert during is end
    assert during is (made.options.step.averaged.module if decay else tiny_detector)
    assert isinstance(loaders["a"], StoppableLoader)
    assert (len(loaders["a"]), loaders["a"].dataset) == (3, loaders["a"].loader.dataset)


@pytest.mark.parametrize("asked", [True, False])
def test_deterministic_mode_is_enabled_during_the_run(monkeypatch, asked):
    found = []

    def state():
        return (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
            torch.backends.cudnn.benchmark,
            os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
        )

    def stop(*_, **__):
        found.append(state())
        raise ValueError("enough")

    monkeypatch.setattr(training, "started_run", stop)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")  # the previous value, to be restored
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    with pytest.raises(SystemExit):
        tool("train_net").main(["--deterministic"] * asked)
    assert found == [(True, False, False, ":4096:8") if asked else (False, False, True, None)]
    assert state()[:3] == (False, False, True)
