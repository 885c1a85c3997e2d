"""The training loop."""

from __future__ import annotations

import datetime
import logging
import time
import warnings
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader

from maskrcnn_benchmark.utils.checkpoint import Checkpointer
from maskrcnn_benchmark.utils.comm import get_rank, reduce_dict
from maskrcnn_benchmark.utils.metric_logger import MetricLogger
from maskrcnn_benchmark.utils.random_state import seed_generators, step_seed

from .metrics_writer import MetricsWriter
from .milestones import Milestones
from .progress import progress_bar
from .stop_request import StopRequest
from .train_step import StepOptions, train_step
from .validation import Validation

_LOGGER = "maskrcnn_benchmark.trainer"


class StepHistory:
    """Losses and times of the steps since the last look at them.

    The losses stay on their device until ``drain``, so that no step waits for a transfer.
    """

    def __init__(self) -> None:
        self._losses: list[dict[str, Tensor]] = []
        self._times: list[dict[str, float]] = []

    def add(self, losses: dict[str, Tensor], **times: float) -> None:
        """Append a step: its losses (0-d tensors, the same names each time) and its seconds."""
        self._losses.append(losses)
        self._times.append(times)

    def drain(self, meters: MetricLogger) -> None:
        """Move all steps into ``meters``, the losses as means over the processes."""
        if not self._losses:
            return
        series = {k: torch.stack([step[k] for step in self._losses]) for k in self._losses[0]}
        columns = {name: values.tolist() for name, values in reduce_dict(series).items()}
        for index, times in enumerate(self._times):
            meters.update(**{name: column[index] for name, column in columns.items()}, **times)
        self._losses, self._times = [], []


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """What a training may do beyond the original's loop.

    Attributes:
        writer: records the logged figures; None: they go to the log only.
        log_period: iterations between two lines of the log.
        seed: of all random draws, together with the iteration and the rank.
        step: options of one optimization step.
        validation: evaluates now and then, and the best model is kept; None: never.
    """

    writer: MetricsWriter | None = None
    log_period: int = 20
    seed: int = 0
    step: StepOptions = field(default_factory=StepOptions)
    validation: Validation | None = None

    def stateful(self) -> dict[str, Any]:
        """Return what has a state that belongs into the checkpoints, by the name it has there."""
        own = {} if self.validation is None else {"validation": self.validation}
        return self.step.stateful() | own


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
    learning rate of ``last_epoch == i``. At the end ``model_final`` is saved. ``Milestones`` tells
    what else is.

    Args:
        model: in training it maps ``(images, targets)`` to a dict of losses.
        data_loader: yields ``(ImageList, targets, indices)`` after the first
            ``arguments["iteration"]`` batches; its length is the last iteration.
        optimizer: of the model's parameters.
        scheduler: of the optimizer.
        checkpointer: saves ``model_0000123.pth`` every ``checkpoint_period`` iterations.
        device: where the model is.
        checkpoint_period: see above.
        arguments: saved in every checkpoint; ``iteration`` is kept up to date.
        options: see there.

    Raises:
        LossNotFiniteError: see ``train_step``.
        TrainingStopped: SIGTERM or Ctrl-C came to any process; all have saved and stop.
    """
    options = options or TrainOptions()
    logger = logging.getLogger(_LOGGER)
    start, last = int(arguments.setdefault("iteration", 0)), len(data_loader)
    with StopRequest() as stop_request:
        milestones = Milestones(
            checkpointer,
            arguments,
            period=checkpoint_period,
            last=last,
            stop_request=stop_request,
            device=device,
            validation=options.validation,
            writer=options.writer,
        )
        milestones.catch_up()
        if start >= last:
            logger.info(f"Nothing to train: {start} of {last} iterations are done")
            return
        logger.info(f"Training starts at iteration {start + 1} of {last}")
        model.train()
        log = _Log(last, options, torch.device(device))
        began = end = time.perf_counter()
        with progress_bar(last, start=start) as bar:
            for iteration, batch in enumerate(data_loader, start + 1):
                data_time = time.perf_counter() - end
                _step(scheduler)
                seed_generators(step_seed(options.seed, iteration, get_rank()))
                losses = train_step(
                    *(model, optimizer, batch, device),
                    options=options.step,
                    dataset=data_loader.dataset,
                    agree=stop_request.agree,
                )
                arguments["iteration"] = iteration
                batch_time = time.perf_counter() - end
                log.add(optimizer, iteration, losses, time=batch_time, data=data_time)
                bar.update()
                milestones.pass_by()
                end = time.perf_counter()
    logger.info(f"Training took {_duration(time.perf_counter() - began)}")


def _step(scheduler: LRScheduler) -> None:
    """Step the scheduler without torch's warning: here it goes before the optimizer on purpose."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Detected call of `lr_scheduler.step\(\)`")
        scheduler.step()


def _duration(seconds: float) -> str:
    return str(datetime.timedelta(seconds=int(seconds)))


class _Log:
    """Writes a line, and the means over the last iterations, every so often."""

    def __init__(self, last: int, options: TrainOptions, device: torch.device) -> None:
        self._last, self._options, self._device = last, options, device
        self._meters, self._history = MetricLogger(delimiter="  "), StepHistory()

    def add(
        self, optimizer: Optimizer, iteration: int, losses: dict[str, Tensor], **times: float
    ) -> None:
        """Take note of a step; report if it is time to."""
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
        logging.getLogger(_LOGGER).info(meters.delimiter.join(parts))
        if self._options.writer is not None:
            self._options.writer.write(iteration, values)
