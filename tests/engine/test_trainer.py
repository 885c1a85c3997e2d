import json
import logging
import random
import re
import warnings

import numpy as np
import pytest
import torch
import torch.distributed as dist

from maskrcnn_benchmark.checkpoint.checkpointer import Checkpointer
from maskrcnn_benchmark.engine import trainer
from maskrcnn_benchmark.engine.metric_logger import MetricLogger
from maskrcnn_benchmark.engine.metrics_writer import MetricsWriter
from maskrcnn_benchmark.engine.random_state import seed_generators, step_seed
from maskrcnn_benchmark.engine.train_step import LossNotFiniteError
from maskrcnn_benchmark.engine.trainer import StepHistory, TrainOptions, do_train
from tests.engine.stand_ins import TinyModel, tiny_loader
from tests.helpers.ranks import on_ranks


def run(folder, iterations, *, model=None, period=100, writer=None, log_period=20, **options):
    """Train or resume in ``folder``; return the checkpointer."""
    model = model or TinyModel()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 / (1 + epoch))
    checkpointer = Checkpointer(model, optimizer, scheduler, folder, save_to_disk=True)
    options = TrainOptions(writer=writer, log_period=log_period, **options)
    checkpointer.parts |= options.stateful()
    arguments = {"iteration": 0, **checkpointer.load()}
    loader = tiny_loader(iterations, arguments["iteration"])
    do_train(
        *(model, loader, optimizer, scheduler, checkpointer, "cpu", period, arguments),
        options=options,
    )
    return checkpointer


@pytest.fixture
def log(caplog):
    logging.getLogger("maskrcnn_benchmark").propagate = True
    caplog.set_level(logging.INFO)
    return caplog


def test_leaves_the_checkpoints_of_the_original(tmp_path):
    run(tmp_path, 7, period=3)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["last_checkpoint", "model_0000003.pth", "model_0000006.pth", "model_final.pth"]
    assert torch.load(tmp_path / "model_0000003.pth", weights_only=True)["iteration"] == 3
    assert (tmp_path / "last_checkpoint").read_text().endswith("model_final.pth")


def test_logs_the_line_of_the_original_periodically(tmp_path, log):
    run(tmp_path, 45)
    lines = [m for m in log.messages if m.startswith("eta")]
    number = r"\d+\.\d{4} \(\d+\.\d{4}\)"
    line = (
        rf"eta: \d+:\d\d:\d\d  iter: \d+  loss: {number}  loss_classifier: {number}  "
        rf"loss_mask: {number}  time: {number}  data: {number}  lr: \d\.\d{{6}}(  max mem: \d+)?"
    )
    assert all(re.fullmatch(line, text) for text in lines)
    assert [re.search(r"iter: (\d+)", text)[1] for text in lines] == ["20", "40", "45"]


def test_step_i_has_the_learning_rate_of_epoch_i_without_a_warning(tmp_path):
    rates = []

    class Recorder(MetricsWriter):
        def __init__(self):
            pass

        def write(self, iteration, values):
            rates.append((iteration, values["lr"]))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(tmp_path, 4, writer=Recorder(), log_period=1)
    assert rates == [(i, pytest.approx(0.001 / (1 + i))) for i in range(1, 5)]


def test_equals_a_plain_loop(tmp_path):
    trained = run(tmp_path, 6)
    model = TinyModel()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
    for i, (images, targets, _) in enumerate(tiny_loader(6), 1):
        optimizer.param_groups[0]["lr"] = 0.001 / (1 + i)
        optimizer.zero_grad()
        sum(model(images, list(targets)).values()).backward()
        optimizer.step()
    assert torch.equal(trained.model.layer.weight, model.layer.weight)


def test_an_interrupted_run_ends_like_an_uninterrupted_one(tmp_path):
    whole = run(tmp_path / "whole", 9)
    with pytest.raises(LossNotFiniteError):
        run(tmp_path / "parts", 9, model=TinyModel(poison=6), period=4)
    parts = run(tmp_path / "parts", 9)
    assert torch.equal(whole.model.layer.weight, parts.model.layer.weight)
    assert whole.scheduler.state_dict() == parts.scheduler.state_dict()


def test_a_finished_run_is_left_alone(tmp_path, log):
    run(tmp_path, 3)
    before = (tmp_path / "model_final.pth").stat().st_mtime_ns
    run(tmp_path, 3)
    assert (tmp_path / "model_final.pth").stat().st_mtime_ns == before
    assert "Nothing to train: 3 of 3 iterations are done" in log.messages


def test_a_nan_stops_the_run_before_the_weights_and_names_the_images(tmp_path):
    good = run(tmp_path / "good", 2)
    with pytest.raises(LossNotFiniteError) as error:
        run(tmp_path / "bad", 9, model=TinyModel(poison=3), period=2)
    assert "loss_mask is nan on the images 104 (4.png), 105 (5.png)" in str(error.value)
    assert "loss_classifier" not in str(error.value)
    saved = torch.load(tmp_path / "bad" / "model_0000002.pth", weights_only=True)["model"]
    assert torch.equal(saved["layer.weight"], good.model.layer.weight)
    assert not (tmp_path / "bad" / "model_final.pth").exists()


class Drawing(TinyModel):
    """Model that draws from all three generators; its losses are 1 on rank 0, 4 on rank 1."""

    def __init__(self):
        super().__init__()
        self.drawn = []

    def forward(self, images, targets=None):
        losses = super().forward(images, targets)
        self.drawn.append(draws())
        rank = dist.get_rank() if dist.is_initialized() else 0
        return {name: loss * 0 + 1 + 3 * rank for name, loss in losses.items()}


def draws():
    return random.random(), np.random.rand(), torch.rand(()).item()  # noqa: NPY002


def expected_draws(seed, rank, iterations):
    found = []
    for iteration in range(1, iterations + 1):
        seed_generators(step_seed(seed, iteration, rank))
        found.append(draws())
    return found


def test_the_draws_of_a_step_follow_from_seed_and_iteration(tmp_path):
    of_seeds = []
    for seed in (0, 5):
        model = Drawing()
        run(tmp_path / str(seed), 3, model=model, seed=seed)
        assert model.drawn == expected_draws(seed, 0, 3)
        of_seeds.append(model.drawn)
    assert len({draw for drawn in of_seeds for draw in drawn}) == 6


def _drawing_process(rank, folder):
    exchanges = []
    for name in ("all_reduce", "all_gather", "reduce", "barrier", "broadcast"):
        count_calls(dist, name, exchanges)
    model = Drawing()
    with MetricsWriter(folder / str(rank)) as writer:
        run(folder / f"run{rank}", 6, model=model, seed=3, writer=writer, log_period=3)
    assert model.drawn == expected_draws(3, rank, 6)
    assert model.drawn != expected_draws(3, 1 - rank, 6)
    # a step has one; the log reduces twice, the end agrees on signals once more, and the random
    # states of model_final are no part of this checkpointer
    assert exchanges == [*["all_reduce"] * 3, "reduce"] * 2 + ["all_reduce"]


def count_calls(module, name, calls):
    original = getattr(module, name)

    def counted(*args, **kwargs):
        calls.append(name)
        return original(*args, **kwargs)

    setattr(module, name, counted)  # in a process of its own


def test_ranks_draw_their_own_exchange_once_a_step_and_log_the_mean(tmp_path):
    on_ranks(_drawing_process, tmp_path)
    (first, second) = map(json.loads, (tmp_path / "0" / "metrics.jsonl").read_text().splitlines())
    assert first["loss_mask"] == first["loss_classifier"] == second["loss_mask"] == 2.5
    assert first["loss"] == 5


class Memory:
    """Mock of the memory counters of a GPU."""

    def __init__(self):
        self.asked = []

    def __call__(self, device):
        self.asked.append(device)
        return 3 * 2**20


def test_the_memory_is_that_of_the_models_gpu(tmp_path, monkeypatch, log):
    memory = Memory()
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", memory)
    report = trainer._Log(4, TrainOptions(log_period=1), torch.device("cuda", 1))
    optimizer = torch.optim.SGD(TinyModel().parameters(), lr=1)
    report.add(optimizer, 1, {"loss": torch.tensor(1.0)}, time=0.1)
    assert memory.asked == [torch.device("cuda", 1)]
    assert log.messages[-1].endswith("max mem: 3")


def test_a_step_that_overflows_does_not_spoil_the_means(log):
    report = trainer._Log(4, TrainOptions(log_period=3), torch.device("cpu"))
    optimizer = torch.optim.SGD(TinyModel().parameters(), lr=1)
    for iteration, loss in enumerate((1.0, float("inf"), 3.0), 1):
        report.add(optimizer, iteration, {"loss": torch.tensor(loss)}, time=0.1)
    assert "loss: 1.0000 (2.0000)" in log.messages[-1]


def test_history_keeps_every_step():
    history, meters = StepHistory(), MetricLogger()
    for step in range(5):
        history.add({"loss": torch.tensor(float(step))}, time=0.5 * step)
    history.drain(meters)
    history.drain(meters)
    assert list(meters.loss.deque) == [0, 1, 2, 3, 4]
    assert meters.time.global_avg == 1.0


def test_metrics_are_recorded_without_duplicates_after_resuming(tmp_path):
    with MetricsWriter(tmp_path) as writer:
        run(tmp_path, 6, writer=writer, log_period=1)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"iteration": 7, "lo')  # a crash while writing
    with MetricsWriter(tmp_path, start_iteration=4) as writer:
        writer.write(5, {"loss": 1.0, "grad_norm": float("inf")})
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in lines] == [1, 2, 3, 4, 5]
    assert {"loss", "loss_mask", "lr", "time", "data"} <= lines[0].keys()
    assert lines[4] == {"iteration": 5, "loss": 1.0}
    assert list((tmp_path / "tensorboard").glob("events*"))


def _poisoned_process(rank, folder):
    with pytest.raises(LossNotFiniteError, match=r"process 1: loss_mask is nan on the images 102"):
        run(f"{folder}/{rank}", 9, model=TinyModel(poison=2 if rank == 1 else None))


def test_a_nan_on_one_process_stops_all(tmp_path):
    on_ranks(_poisoned_process, tmp_path)
