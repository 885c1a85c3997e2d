"""Evaluation during training: schedule, best model, and no side effects."""

import contextlib
import json
from pathlib import Path

import pytest
import torch

from maskrcnn_benchmark.checkpoint.checkpointer import Checkpointer
from maskrcnn_benchmark.config import cfg
from maskrcnn_benchmark.engine.metrics_writer import MetricsWriter
from maskrcnn_benchmark.engine.stop_request import StopRequest
from maskrcnn_benchmark.engine.trainer import TrainOptions, do_train
from maskrcnn_benchmark.engine.validation import Validation, make_validation, metrics_by_name
from maskrcnn_benchmark.evaluation import COCOResults
from tests.engine.stand_ins import TinyModel, tiny_loader
from tests.helpers.ranks import on_ranks
from tests.tools.test_resume import assert_equal


class NoisyModel(TinyModel):
    """Model whose losses depend on torch's random numbers."""

    def forward(self, images, targets=None):
        losses = super().forward(images, targets)
        return {name: loss * (1 + torch.rand(())) for name, loss in losses.items()}


def nothing(_):
    return {}


def train(folder, iterations, evaluate=None, *, period=2, writer=None, checkpoint_period=100):
    torch.manual_seed(5)
    model = NoisyModel()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 1)
    validation = evaluate and Validation(evaluate, period=period, metric="segm_AP")
    options = TrainOptions(writer=writer, log_period=3, validation=validation)
    checkpointer = Checkpointer(model, optimizer, scheduler, folder)
    checkpointer.parts |= options.stateful()
    arguments = {"iteration": 0, **checkpointer.load()}
    loader = tiny_loader(iterations, arguments["iteration"])
    do_train(
        *(model, loader, optimizer, scheduler, checkpointer, "cpu", checkpoint_period, arguments),
        options=options,
    )
    return model, validation


def returning(*values):
    """Return an evaluation that returns the given values in turn."""
    remaining = iter(values)
    return lambda _: {"segm_AP": next(remaining), "bbox_AP": 0.5}


def test_an_evaluation_leaves_no_trace_in_the_weights(tmp_path):
    def evaluate(_):
        torch.rand(7)
        return {"segm_AP": 0.0}

    plain, _ = train(tmp_path / "plain", 6)
    evaluated, _ = train(tmp_path / "evaluated", 6, evaluate)
    assert torch.equal(plain.layer.weight, evaluated.layer.weight)


def test_the_best_is_kept_and_the_metrics_are_written(tmp_path):
    with MetricsWriter(tmp_path) as writer:
        train(tmp_path, 7, returning(0.1, 0.3, 0.2, 0.3), writer=writer)
    assert torch.load(tmp_path / "model_best.pth", weights_only=True)["iteration"] == 4
    last = torch.load(tmp_path / "model_final.pth", weights_only=True)
    state = {"metric": "segm_AP", "best": 0.3, "best_iteration": 4, "iteration": 7}
    assert last["validation"] == state
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    tested = [(line["iteration"], line["segm_AP"]) for line in lines if "segm_AP" in line]
    assert tested == [(2, 0.1), (4, 0.3), (6, 0.2), (7, 0.3)]
    assert [line["iteration"] for line in lines if "loss" in line] == [3, 6, 7]


def test_a_resumed_run_remembers_the_best(tmp_path):
    train(tmp_path, 2, returning(0.4))
    _, validation = train(tmp_path, 6, returning(0.3, 0.2))
    assert (validation.best, validation.best_iteration) == (0.4, 2)
    assert torch.load(tmp_path / "model_best.pth", weights_only=True)["iteration"] == 2


class Killed(BaseException):
    """Raised to end an evaluation like an uncaught signal."""


def scores(at_most=100):
    """Evaluation with a result that depends on its count, killed after ``at_most``."""
    calls = []

    def evaluate(_):
        calls.append(None)
        if len(calls) > at_most:
            raise Killed
        return {"segm_AP": (0.2, 0.4, 0.3, 0.1)[len(calls) - 1]}

    return evaluate


def recorded(folder):
    """Return the last checkpoint, the best one and the metrics of the evaluations."""
    names = ("model_final.pth", "model_best.pth")
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    tested = [line for line in lines if "segm_AP" in line]
    return [torch.load(folder / name, weights_only=True) for name in names], tested


@pytest.mark.parametrize("checkpoint_period", [2, 3, 100])
@pytest.mark.parametrize("killed_in", [1, 2, 3, 4])  # after 2, 4, 6 and 7
def test_a_run_that_is_killed_in_an_evaluation_loses_nothing(
    tmp_path, killed_in, checkpoint_period
):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    with MetricsWriter(whole) as writer:
        train(whole, 7, scores(), writer=writer, checkpoint_period=checkpoint_period)
    first, second = scores(at_most=killed_in - 1), scores()
    with pytest.raises(Killed), MetricsWriter(parts) as writer:
        train(parts, 7, first, writer=writer, checkpoint_period=checkpoint_period)
    at = (2, 4, 6, 7)[killed_in - 1]
    saved = Path((parts / "last_checkpoint").read_text())
    assert torch.load(saved, weights_only=True)["iteration"] == at
    assert (saved.name == "model_final.pth") == (at == 7)
    for _ in range(killed_in - 1):
        second(None)
    with MetricsWriter(parts, start_iteration=at) as writer:
        train(parts, 7, second, writer=writer, checkpoint_period=checkpoint_period)
    assert_equal(recorded(parts), recorded(whole))


def test_an_evaluated_iteration_is_not_evaluated_again(tmp_path):
    train(tmp_path, 4, returning(0.2, 0.1))  # a best one would be saved once more
    train(tmp_path, 4, returning())
    _, validation = train(tmp_path, 5, returning(0.3))
    assert (validation.best, validation.best_iteration) == (0.3, 5)


def test_an_evaluation_whose_result_was_written_but_not_saved_is_recorded_once(tmp_path):
    with MetricsWriter(tmp_path) as writer:
        for iteration in (1, 2):
            writer.write(iteration, {"loss": 1.0})
        writer.write(2, {"segm_AP": 0.5}, group="test")
    with MetricsWriter(tmp_path, start_iteration=2) as writer:
        writer.write(2, {"segm_AP": 0.5}, group="test")
        writer.write(3, {"loss": 1.0})
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in lines] == [1, 2, 2, 3]


def test_the_best_of_another_metric_is_forgotten():
    validation = Validation(nothing, period=1, metric="bbox_AP")
    validation.load_state_dict({"metric": "segm_AP", "best": 0.9, "best_iteration": 3})
    assert validation.iteration == 0  # as in checkpoints of before it was known
    assert validation.best is None


def test_without_ground_truth_nothing_is_best(tmp_path):
    train(tmp_path, 2, nothing)
    assert not (tmp_path / "model_best.pth").exists()


def test_metrics_have_one_name_each_and_no_unknown_ones():
    first, second = COCOResults("bbox", "segm"), COCOResults("bbox")
    first.results["bbox"] |= {"AP": 0.25, "AP50": 0.5}
    first.results["segm"]["AP"] = 0.0
    second.results["bbox"]["AP"] = 0.125
    assert metrics_by_name({"a": first, "b": second}) == {
        "bbox_AP": 0.25, "bbox_AP50": 0.5, "segm_AP": 0.0, "b/bbox_AP": 0.125
    }  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "metric"),
    [
        (["MODEL.MASK_ON", True], "segm_AP"),
        ([], "bbox_AP"),
        (["MODEL.RPN_ONLY", True], "box_proposal_AR@1000"),
        (["SOLVER.BEST_METRIC", "bbox_AP50"], "bbox_AP50"),
    ],
)
def test_the_metric_for_model_selection(settings, metric):
    config = cfg.clone()
    assert make_validation(config, nothing) is None
    config.merge_from_list(["SOLVER.TEST_PERIOD", 10, *settings])
    validation = make_validation(config, nothing)
    assert validation.metric == metric
    assert [i for i in range(1, 26) if validation.is_due(i, 25)] == [10, 20, 25]


def _evaluating_process(rank):
    validation = Validation(lambda _: {"segm_AP": 0.5 - rank}, period=1, metric="segm_AP")
    assert validation.run(3, StopRequest("cpu")) == ({"segm_AP": 0.5}, True)
    assert validation.best == 0.5


def test_all_processes_know_the_metrics_of_the_main_one():
    on_ranks(_evaluating_process)


def test_random_numbers_of_the_models_gpu_are_left_alone(monkeypatch):
    forked = []

    @contextlib.contextmanager
    def fork(devices):
        forked.append(list(devices))
        yield

    monkeypatch.setattr(torch.random, "fork_rng", fork)
    validation = Validation(nothing, period=1, metric="segm_AP")
    for device in ("cpu", "cuda:1", torch.device("cuda", 2)):
        validation.run(1, StopRequest(device))
    assert forked == [[], [torch.device("cuda", 1)], [torch.device("cuda", 2)]]
