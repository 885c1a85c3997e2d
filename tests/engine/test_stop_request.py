import os
import signal
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from maskrcnn_benchmark.engine.stop_request import StoppableLoader, StopRequest, TrainingStopped
from maskrcnn_benchmark.engine.validation import Validation
from tests.engine.stand_ins import TinyModel, tiny_loader
from tests.engine.test_trainer import log, run  # noqa: F401 a fixture
from tests.helpers.ranks import on_ranks


class SignalledModel(TinyModel):
    """Model that receives a signal in the middle of the given step, from 1."""

    def __init__(self, step, number):
        super().__init__()
        self.step, self.number = step, number

    def forward(self, images, targets=None):
        if self.calls + 1 == self.step:
            os.kill(os.getpid(), self.number)
        return super().forward(images, targets)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_after_the_step_and_the_run_can_resume(tmp_path, log, capfd, number):  # noqa: F811
    before = signal.getsignal(number)
    whole = run(tmp_path / "whole", 7)
    with pytest.raises(TrainingStopped) as stop:
        run(tmp_path / "parts", 7, model=SignalledModel(3, number))
    assert stop.value.code is None
    assert signal.getsignal(number) is before
    assert f"Stopped by {number.name} after iteration 3 of 7" in log.messages
    assert f"{number.name}: saving and stopping after this step" in capfd.readouterr().err
    assert (tmp_path / "parts" / "last_checkpoint").read_text().endswith("model_0000003.pth")
    parts = run(tmp_path / "parts", 7)
    assert torch.equal(whole.model.layer.weight, parts.model.layer.weight)


def test_a_signal_in_the_last_step_still_finishes_the_run(tmp_path):
    with pytest.raises(TrainingStopped):
        run(tmp_path, 4, model=SignalledModel(4, signal.SIGTERM))
    assert (tmp_path / "last_checkpoint").read_text().endswith("model_final.pth")


def test_a_second_ctrl_c_interrupts_at_once_and_a_second_sigterm_does_not():
    with StopRequest("cpu") as request:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert request.on_any_process() == "SIGTERM"
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


class Evaluation:
    """Evaluation that receives a signal at batch ``at`` on the given rank."""

    def __init__(self, batches, *, at, rank=0):
        self.batches, self.at, self.rank, self.seen = batches, at, rank, 0

    def __call__(self, stop_request):
        own = dist.get_rank() if dist.is_initialized() else 0
        for _ in StoppableLoader(tiny_loader(self.batches), stop_request):
            self.seen += 1
            if (self.seen, own) == (self.at, self.rank):
                os.kill(os.getpid(), signal.SIGTERM)
        return {"segm_AP": 0.5}


def evaluated(folder, iterations, evaluate, **options):
    return run(
        folder, iterations, validation=Validation(evaluate, period=2, metric="segm_AP"), **options
    )


def test_a_signal_in_an_evaluation_stops_at_once_and_the_weights_are_saved(tmp_path, log):  # noqa: F811
    evaluation = Evaluation(8, at=3)
    whole = evaluated(tmp_path / "whole", 5, Evaluation(8, at=0))
    with pytest.raises(TrainingStopped):
        evaluated(tmp_path / "parts", 5, evaluation)
    assert evaluation.seen == 3
    assert "Stopped by SIGTERM after iteration 2 of 5" in log.messages
    saved = Path((tmp_path / "parts" / "last_checkpoint").read_text())
    assert torch.load(saved, weights_only=True)["iteration"] == 2
    again = Evaluation(8, at=0)
    parts = evaluated(tmp_path / "parts", 5, again)
    assert again.seen == 3 * 8  # that of iteration 2 is repeated
    assert torch.equal(whole.model.layer.weight, parts.model.layer.weight)


def test_a_signal_in_a_step_saves_before_the_evaluation_of_that_step(tmp_path):
    calls = []
    with pytest.raises(TrainingStopped):
        evaluated(tmp_path, 5, calls.append, model=SignalledModel(2, signal.SIGTERM))
    assert calls == []
    assert (tmp_path / "last_checkpoint").read_text().endswith("model_0000002.pth")


def test_a_signal_after_the_last_batch_of_an_evaluation_is_not_lost(tmp_path, log):  # noqa: F811
    def evaluate(_):
        os.kill(os.getpid(), signal.SIGTERM)
        return {"segm_AP": 0.5}

    with pytest.raises(TrainingStopped):
        evaluated(tmp_path, 5, evaluate)
    assert "Stopped by SIGTERM after iteration 2 of 5" in log.messages
    assert evaluated(tmp_path, 5, Evaluation(1, at=0)).parts["validation"].best_iteration == 2


def _stopped_process(rank, folder):
    with pytest.raises(TrainingStopped):
        run(f"{folder}/step{rank}", 9, model=SignalledModel(3, signal.SIGTERM) if rank else None)
    assert Path(f"{folder}/step{rank}/last_checkpoint").read_text().endswith("model_0000003.pth")
    evaluation = Evaluation(6 - rank, at=2, rank=1)  # the ranks have different numbers of batches
    with pytest.raises(TrainingStopped):
        evaluated(f"{folder}/evaluation{rank}", 9, evaluation)
    assert evaluation.seen == (2 if rank == 1 else 6)


def test_a_signal_to_one_process_stops_all_after_the_same_step(tmp_path):
    on_ranks(_stopped_process, tmp_path)
