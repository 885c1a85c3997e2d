"""SIGTERM and Ctrl-C end a training after the step in progress, on all processes at once."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

import torch

from maskrcnn_benchmark.utils.comm import any_process, is_main_process

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class TrainingStopped(SystemExit):
    """A training was saved and stopped on request; uncaught it ends the program with code 0."""


class StopRequest:
    """While it is entered, SIGTERM and SIGINT are noted instead of ending the program.

    A second Ctrl-C interrupts at once. Outside the main thread, where Python allows no signal
    handlers, nothing changes.
    """

    def __init__(self) -> None:
        self._name = ""
        self._former: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            self._former = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        # a launcher and a scheduler may both send SIGTERM: only Ctrl-C is meant when repeated
        if number == signal.SIGINT and self._name:
            signal.default_int_handler(number, None)
        self._name = signal.Signals(number).name
        if is_main_process():  # print() and the log may be in use by what was interrupted
            os.write(2, f"\n{self._name}: saving and stopping after this step\n".encode())

    def on_any_process(self, device: torch.device | str) -> str:
        """Return the name of the signal if any process was asked to stop, else "".

        Args:
            device: where the processes exchange their answers; all of them must call it.
        """
        if any_process(torch.tensor(bool(self._name), device=device)):
            return self._name or "a signal to another process"
        return ""
