"""Real trainings of toy size with what is off by default."""

import json
import os

import pytest
import torch

from maskrcnn_benchmark.checkpoint.checkpointer import Checkpointer
from maskrcnn_benchmark.config import cfg
from maskrcnn_benchmark.engine.stop_request import StoppableLoader, StopRequest
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


@pytest.fixture
def tested(monkeypatch):
    """Stand-ins for the test sets and their evaluation; the list gets each model and loader."""
    train_net, calls = tool("train_net"), []

    def run_tests(_, model, device, loaders=None):
        calls.append((model, loaders))
        return {}

    monkeypatch.setattr(train_net, "run_tests", run_tests)
    monkeypatch.setattr(train_net, "make_test_loaders", lambda _: {"a": tiny_loader(3)})
    return calls


def averaging_config(*settings):
    config = cfg.clone()
    config.merge_from_list(["MODEL.DEVICE", "cpu", *settings])
    return config


@pytest.mark.parametrize("decay", [0.0, 0.75])
def test_the_periodic_evaluation_is_of_the_averaged_weights_if_there_are_such(tested, decay):
    config = averaging_config("SOLVER.TEST_PERIOD", 2, "SOLVER.EMA_DECAY", decay)
    model = TinyModel()
    options = tool("train_net").make_options(config, model, torch.device("cpu"))
    options.validation.evaluate(StopRequest("cpu"))
    ((evaluated, loaders),) = tested
    assert (evaluated is model) == (decay == 0)
    if decay:
        assert evaluated is options.step.averaged.module
    assert isinstance(loaders["a"], StoppableLoader)
    assert (len(loaders["a"]), loaders["a"].dataset) == (3, loaders["a"].loader.dataset)


@pytest.mark.parametrize("decay", [0.0, 0.75])
def test_the_final_evaluation_is_of_the_averaged_weights_if_there_are_such(
    tested, monkeypatch, decay
):
    train_net, model = tool("train_net"), TinyModel()
    config = averaging_config("SOLVER.EMA_DECAY", decay)
    options = train_net.make_options(config, model, torch.device("cpu"))
    checkpointer = Checkpointer(model)
    training = train_net.Training(
        model, tiny_loader(1), None, None, checkpointer, "cpu", 1, {"iteration": 0}, options
    )
    monkeypatch.setattr(train_net, "start_run", lambda *_, **__: (config, torch.device("cpu")))
    monkeypatch.setattr(train_net, "set_up", lambda *_: training)
    monkeypatch.setattr(train_net, "train", lambda *_: None)
    train_net.run(None)
    ((evaluated, _),) = tested
    assert evaluated is (options.step.averaged.module if decay else model)


@pytest.mark.parametrize("asked", [True, False])
def test_deterministic_asks_torch_for_it(monkeypatch, asked):
    train_net, found = tool("train_net"), []

    def run(*_, **__):
        found.append(torch.are_deterministic_algorithms_enabled())
        found.append(torch.is_deterministic_algorithms_warn_only_enabled())
        found.append(torch.backends.cudnn.benchmark)
        found.append(os.environ.get("CUBLAS_WORKSPACE_CONFIG"))

    monkeypatch.setattr(train_net, "run", run)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")  # so that it is restored
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    monkeypatch.setattr("sys.argv", ["train_net.py", *["--deterministic"] * asked])
    try:
        train_net.main()
    finally:
        torch.use_deterministic_algorithms(False)
    assert found == ([True, False, False, ":4096:8"] if asked else [False, False, True, None])
