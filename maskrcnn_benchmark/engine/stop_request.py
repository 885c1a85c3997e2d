"""Graceful stop on SIGTERM or Ctrl-C: all ranks stop together after the current step."""

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
        device: device of the model, also used for communication between ranks.

    Attributes:
        reason: name of the signal once all ranks have agreed to stop, else "".
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
        # SIGTERM may come twice, from launcher and scheduler; a second Ctrl-C is deliberate
        if number == signal.SIGINT and self._name:
            signal.default_int_handler(number, None)
        self._name = signal.Signals(number).name
        if is_main_process():  # print() and logging may be in use by the interrupted code
            os.write(2, f"\n{self._name}: saving and stopping after this step\n".encode())

    def agree(self, flag: Tensor) -> bool:
        """Return whether ``flag`` is true on any rank, and agree on ``reason`` at the same time.

        Both use a single collective call per step. All ranks must call this.

        Args:
            flag: one-element bool tensor on the device.
        """
        own = torch.full_like(flag, bool(self._name))
        result, stop = any_of_each(torch.stack([flag, own]))
        if stop:
            self.reason = self._name or "a signal to another process"
        return result

    def on_any_process(self) -> str:
        """Agree on ``reason`` and return it; all ranks must call this."""
        self.agree(torch.tensor(False, device=self.device))
        return self.reason

    def asked(self) -> bool:
        """Return whether this process received a signal; no communication."""
        return bool(self._name)


class StoppableLoader:
    """A test loader whose iteration ends early on all ranks once any rank is asked to stop.

    A rank that received a signal skips its remaining batches. At the end of the iteration all ranks
    synchronize, even if they have different numbers of batches.

    Args:
        loader: the wrapped loader.
        stop_request: the request to check before each batch.
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
