"""Evaluation in the middle of a training: when, what is kept, and that it leaves no trace."""

from __future__ import annotations

import json

import pytest
import torch

from maskrcnn_benchmark.config import cfg
from maskrcnn_benchmark.engine.metrics_writer import MetricsWriter
from maskrcnn_benchmark.engine.trainer import TrainOptions, do_train
from maskrcnn_benchmark.engine.validation import Validation, figures, make_validation
from maskrcnn_benchmark.evaluation import COCOResults
from maskrcnn_benchmark.utils.checkpoint import Checkpointer
from tests.engine.stand_ins import TinyModel, tiny_loader


class NoisyModel(TinyModel):
    """Its losses depend on torch's random numbers."""

    def forward(self, images, targets=None):
        losses = super().forward(images, targets)
        return {name: loss * (1 + torch.rand(())) for name, loss in losses.items()}


def train(folder, iterations, evaluate=None, *, period=2, writer=None):
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
        model, loader, optimizer, scheduler, checkpointer, "cpu", 100, arguments, options=options
    )
    return model, validation


def returning(*values):
    """An evaluation that returns these, one after the other."""
    remaining = iter(values)
    return lambda: {"segm_AP": next(remaining), "bbox_AP": 0.5}


def test_an_evaluation_leaves_no_trace_in_the_weights(tmp_path):
    def evaluate():
        torch.rand(7)
        return {"segm_AP": 0.0}

    plain, _ = train(tmp_path / "plain", 6)
    evaluated, _ = train(tmp_path / "evaluated", 6, evaluate)
    assert torch.equal(plain.layer.weight, evaluated.layer.weight)


def test_the_best_is_kept_and_the_figures_are_written(tmp_path):
    with MetricsWriter(tmp_path) as writer:
        train(tmp_path, 7, returning(0.1, 0.3, 0.2, 0.3), writer=writer)
    assert torch.load(tmp_path / "model_best.pth", weights_only=True)["iteration"] == 4
    last = torch.load(tmp_path / "model_final.pth", weights_only=True)
    assert last["validation"] == {"metric": "segm_AP", "best": 0.3, "best_iteration": 4}
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    tested = [(line["iteration"], line["segm_AP"]) for line in lines if "segm_AP" in line]
    assert tested == [(2, 0.1), (4, 0.3), (6, 0.2), (7, 0.3)]
    assert [line["iteration"] for line in lines if "loss" in line] == [3, 6, 7]


def test_a_resumed_run_knows_the_best(tmp_path):
    train(tmp_path, 2, returning(0.4))
    _, validation = train(tmp_path, 6, returning(0.3, 0.2))
    assert (validation.best, validation.best_iteration) == (0.4, 2)
    assert torch.load(tmp_path / "model_best.pth", weights_only=True)["iteration"] == 2


def test_the_best_of_another_metric_is_forgotten():
    validation = Validation(dict, period=1, metric="bbox_AP")
    validation.load_state_dict({"metric": "segm_AP", "best": 0.9, "best_iteration": 3})
    assert validation.best is None


def test_without_ground_truth_nothing_is_best(tmp_path):
    train(tmp_path, 2, dict)
    assert not (tmp_path / "model_best.pth").exists()


def test_figures_have_one_name_each_and_no_unknown_ones():
    first, second = COCOResults("bbox", "segm"), COCOResults("bbox")
    first.results["bbox"] |= {"AP": 0.25, "AP50": 0.5}
    first.results["segm"]["AP"] = 0.0
    second.results["bbox"]["AP"] = 0.125
    assert figures({"a": first, "b": second}) == {
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
def test_the_metric_to_choose_by(settings, metric):
    config = cfg.clone()
    assert make_validation(config, dict) is None
    config.merge_from_list(["SOLVER.TEST_PERIOD", 10, *settings])
    validation = make_validation(config, dict)
    assert validation.metric == metric
    assert [i for i in range(1, 26) if validation.is_due(i, 25)] == [10, 20, 25]


def test_all_processes_know_the_figures_of_the_main_one(monkeypatch):
    monkeypatch.setattr(
        "maskrcnn_benchmark.engine.validation.all_gather", lambda own: [{"segm_AP": 0.5}, own]
    )
    validation = Validation(dict, period=1, metric="segm_AP")  # on process 1
    assert validation.run(3) == ({"segm_AP": 0.5}, True)
    assert validation.best == 0.5
