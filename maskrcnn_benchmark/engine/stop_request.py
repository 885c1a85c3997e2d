"""Stop training on SIGTERM or Ctrl-C after the current step, on all ranks together."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from maskrcnn_benchmark.utils.comm import any_of_each, is_main_process

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class TrainingStopped(SystemExit):
    """Training was saved and stopped on request; if uncaught, the program exits with code 0."""


class StopRequest:
    """Context in which SIGTERM and SIGINT are recorded instead of ending the program.

    A second Ctrl-C interrupts at once. Outside the main thread, where Python allows no signal
    handlers, nothing changes.

    Args:
        device: where the model is, and where the processes exchange their answers.

    Attributes:
        reason: the signal's name once all processes have agreed to stop, else "".
    """

    def __init__(self, device: torch.device | str) -> None:
        self.device = torch.device(device)
        self.reason = ""
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
        # a launcher and a scheduler may both send SIGTERM: only a second Ctrl-C is deliberate
        if number == signal.SIGINT and self._name:
            signal.default_int_handler(number, None)
        self._name = signal.Signals(number).name
        if is_main_process():  # print() and the log may be in use by what was interrupted
            os.write(2, f"\n{self._name}: saving and stopping after this step\n".encode())

    def agree(self, flag: Tensor) -> bool:
        """Return whether ``flag`` is true on any process, and agree on ``reason`` by the way.

        Both take one exchange, so that a step needs no second one. All processes must call it.

        Args:
            flag: a bool of one element, on the device.
        """
        own = torch.full_like(flag, bool(self._name))
        result, stop = any_of_each(torch.stack([flag, own]))
        if stop:
            self.reason = self._name or "a signal to another process"
        return result

    def on_any_process(self) -> str:
        """Return ``reason`` after agreeing on it; all processes must call it."""
        self.agree(torch.tensor(False, device=self.device))
        return self.reason

    def asked(self) -> bool:
        """Return whether this process was asked to stop, whatever the others know."""
        return bool(self._name)


class StoppableLoader:
    """A test loader whose pass ends early, on all processes, once any was asked to stop.

    A process that was asked to leaves out its remaining batches. Where its pass ends it meets the
    others, however many batches each of them had.

    Args:
        loader: yields batches.
        stop_request: see above.
    """

    def __init__(self, loader: DataLoader[Any], stop_request: StopRequest) -> None:
        self.loader = loader
        self.dataset = loader.dataset
        self._stop_request = stop_request

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        for batch in self.loader:
            if self._stop_request.asked():
                break
            yield batch
        if self._stop_request.on_any_process():
            raise TrainingStopped
