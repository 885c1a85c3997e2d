from __future__ import annotations

import os
import signal

import pytest
import torch

from maskrcnn_benchmark.engine.stop_request import StopRequest, TrainingStopped
from tests.engine.stand_ins import TinyModel
from tests.engine.test_trainer import log, run  # noqa: F401 a fixture


class SignalledModel(TinyModel):
    """Gets a signal in the middle of a step, numbered from 1."""

    def __init__(self, step, number):
        super().__init__()
        self.step, self.number = step, number

    def forward(self, images, targets=None):
        if self.calls + 1 == self.step:
            os.kill(os.getpid(), self.number)
        return super().forward(images, targets)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_after_the_step_and_the_run_goes_on(tmp_path, log, capfd, number):  # noqa: F811
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
    with StopRequest() as request:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert request.on_any_process("cpu") == "SIGTERM"
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
