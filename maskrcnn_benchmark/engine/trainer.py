"""The training loop."""

import datetime
import logging
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader

from maskrcnn_benchmark.checkpoint.checkpointer import Checkpointer
from maskrcnn_benchmark.engine.metric_logger import MetricLogger
from maskrcnn_benchmark.engine.milestones import Milestones
from maskrcnn_benchmark.engine.progress import progress_bar
from maskrcnn_benchmark.engine.random_state import seed_generators, step_seed
from maskrcnn_benchmark.engine.stop_request import StopRequest
from maskrcnn_benchmark.engine.train_options import TrainOptions
from maskrcnn_benchmark.engine.train_step import train_step
from maskrcnn_benchmark.utils.comm import get_rank, reduce_dict

_LOG = logging.getLogger("maskrcnn_benchmark.trainer")


class StepHistory:
    """Losses and times of the steps since the last ``drain``.

    The losses stay on their device until then, so no step waits for a transfer.
    """

    def __init__(self) -> None:
        self._losses: list[dict[str, Tensor]] = []
        self._times: list[dict[str, float]] = []

    def add(self, losses: dict[str, Tensor], **times: float) -> None:
        """Append a step: its losses (0-d tensors, always the same names) and times in seconds."""
        self._losses.append(losses)
        self._times.append(times)

    def drain(self, meters: MetricLogger) -> None:
        """Move all steps into ``meters``; losses are averaged over the ranks."""
        if not self._losses:
            return
        series = {k: torch.stack([step[k] for step in self._losses]) for k in self._losses[0]}
        columns = {name: values.tolist() for name, values in reduce_dict(series).items()}
        for index, times in enumerate(self._times):
            meters.update(**{name: column[index] for name, column in columns.items()}, **times)
        self._losses, self._times = [], []


def do_train(
    model: nn.Module,
    data_loader: DataLoader[Any],
    optimizer: Optimizer,
    scheduler: LRScheduler,
    checkpointer: Checkpointer,
    device: torch.device | str,
    checkpoint_period: int,
    arguments: dict[str, Any],
    *,
    options: TrainOptions | None = None,
) -> None:
    """Train from iteration ``arguments["iteration"]`` to the end of the loader.

    Iterations count from 1. The scheduler is stepped before the optimizer, so step i has the
    learning rate of ``last_epoch == i``. At the end ``model_final`` is saved; see ``Milestones``.

    Args:
        model: maps ``(images, targets)`` to a dict of losses in training mode.
        data_loader: yields ``(ImageList, targets, indices)`` after the first
            ``arguments["iteration"]`` batches; its length is the last iteration.
        optimizer: optimizer of the model's parameters.
        scheduler: learning rate scheduler of the optimizer.
        checkpointer: saves ``model_0000123.pth`` every ``checkpoint_period`` iterations.
        device: device of the model.
        checkpoint_period: number of iterations between checkpoints.
        arguments: values saved in every checkpoint; ``iteration`` is updated.
        options: further options; None: the defaults.

    Raises:
        LossNotFiniteError: see ``train_step``.
        TrainingStopped: any rank received SIGTERM or Ctrl-C; a checkpoint was saved.
    """
    options = options or TrainOptions()
    start, last = int(arguments.setdefault("iteration", 0)), len(data_loader)
    with StopRequest(device) as stop_request:
        milestones = Milestones(
            checkpointer, arguments, stop_request, options, period=checkpoint_period, last=last
        )
        milestones.catch_up()
        if start >= last:
            _LOG.info(f"Nothing to train: {start} of {last} iterations are done")
            return
        _LOG.info(f"Training starts at iteration {start + 1} of {last}")
        model.train()
        log = _Log(last, options, torch.device(device))
        began = time.perf_counter()
        steps = _steps(
            *(model, data_loader, optimizer, scheduler, device),
            start=start,
            options=options,
            agree=stop_request.agree,
        )
        with progress_bar(last, start=start) as bar:
            for iteration, losses, times in steps:
                arguments["iteration"] = iteration
                log.add(optimizer, iteration, losses, **times)
                bar.update()
                milestones.pass_by()
    _LOG.info(f"Training took {_duration(time.perf_counter() - began)}")


def _steps(
    model: nn.Module,
    data_loader: DataLoader[Any],
    optimizer: Optimizer,
    scheduler: LRScheduler,
    device: torch.device | str,
    *,
    start: int,
    options: TrainOptions,
    agree: Callable[[Tensor], bool],
) -> Iterator[tuple[int, dict[str, Tensor], dict[str, float]]]:
    """Run the steps after iteration ``start``; yield ``(iteration, losses, times in seconds)``."""
    end = time.perf_counter()
    for iteration, batch in enumerate(data_loader, start + 1):
        data_time = time.perf_counter() - end
        _step(scheduler)
        seed_generators(step_seed(options.seed, iteration, get_rank()))
        losses = train_step(
            *(model, optimizer, batch, device),
            options=options.step,
            dataset=data_loader.dataset,
            agree=agree,
        )
        yield iteration, losses, {"time": time.perf_counter() - end, "data": data_time}
        end = time.perf_counter()


def _step(scheduler: LRScheduler) -> None:
    """Step the scheduler, without torch's warning that the optimizer should be stepped first."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Detected call of `lr_scheduler.step\(\)`")
        scheduler.step()


def _duration(seconds: float) -> str:
    return str(datetime.timedelta(seconds=int(seconds)))


class _Log:
    """Periodic log lines and metrics, averaged over the last iterations."""

    def __init__(self, last: int, options: TrainOptions, device: torch.device) -> None:
        self._last, self._options, self._device = last, options, device
        self._meters, self._history = MetricLogger(delimiter="  "), StepHistory()

    def add(
        self, optimizer: Optimizer, iteration: int, losses: dict[str, Tensor], **times: float
    ) -> None:
        """Record a step; log the metrics if due."""
        self._history.add(losses, **times)
        if iteration % self._options.log_period == 0 or iteration == self._last:
            self._history.drain(self._meters)
            self._report(iteration, optimizer.param_groups[0]["lr"])

    def _report(self, iteration: int, lr: float) -> None:
        meters = self._meters
        parts = [
            f"eta: {_duration(meters.time.global_avg * (self._last - iteration))}",
            f"iter: {iteration}",
            str(meters),
            f"lr: {lr:.6f}",
        ]
        values = {name: meter.avg for name, meter in meters.meters.items()} | {"lr": lr}
        if self._device.type == "cuda":
            values["max_mem_mb"] = torch.cuda.max_memory_allocated(self._device) / 2**20
            parts.append(f"max mem: {values['max_mem_mb']:.0f}")
        _LOG.info(meters.delimiter.join(parts))
        if self._options.writer is not None:
            self._options.writer.write(iteration, values)
