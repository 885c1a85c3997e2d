"""The training loop."""

from __future__ import annotations

import datetime
import logging
import time
import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader

from maskrcnn_benchmark.utils.checkpoint import Checkpointer
from maskrcnn_benchmark.utils.comm import reduce_dict
from maskrcnn_benchmark.utils.metric_logger import MetricLogger

from .metrics_writer import MetricsWriter
from .progress import progress_bar
from .train_step import train_step

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
    writer: MetricsWriter | None = None,
    log_period: int = 20,
) -> None:
    """Train from iteration ``arguments["iteration"]`` to the end of the loader.

    Iterations count from 1. The scheduler is stepped before the optimizer, so step i has the
    learning rate of ``last_epoch == i``. At the end ``model_final`` is saved.

    Args:
        model: in training it maps ``(images, targets)`` to a dict of losses.
        data_loader: yields ``(ImageList, targets, indices)``; its length is the last iteration,
            and it begins after the first ``arguments["iteration"]`` batches.
        optimizer: of the model's parameters.
        scheduler: of the optimizer.
        checkpointer: saves ``model_0000123.pth`` every ``checkpoint_period`` iterations.
        device: where the model is.
        checkpoint_period: see above.
        arguments: saved in every checkpoint; ``iteration`` is kept up to date.
        writer: records the logged figures; None: they go to the log only.
        log_period: iterations between two lines of the log.

    Raises:
        LossNotFiniteError: see ``train_step``.
    """
    logger = logging.getLogger(_LOGGER)
    start, last = int(arguments.get("iteration", 0)), len(data_loader)
    if start >= last:
        logger.info(f"Nothing to train: {start} of {last} iterations are done")
        return
    logger.info(f"Training starts at iteration {start + 1} of {last}")
    model.train()
    meters, history = MetricLogger(delimiter="  "), StepHistory()
    began = end = time.perf_counter()
    with progress_bar(last, start=start) as bar:
        for iteration, batch in enumerate(data_loader, start + 1):
            data_time = time.perf_counter() - end
            _step(scheduler)
            losses = train_step(model, optimizer, batch, device, dataset=data_loader.dataset)
            arguments["iteration"] = iteration
            batch_time, end = time.perf_counter() - end, time.perf_counter()
            history.add(losses, time=batch_time, data=data_time)
            bar.update()
            if iteration % log_period == 0 or iteration == last:
                history.drain(meters)
                _report(meters, iteration, last, optimizer.param_groups[0]["lr"], writer)
            if iteration % checkpoint_period == 0:
                checkpointer.save(f"model_{iteration:07d}", **arguments)
    checkpointer.save("model_final", **arguments)
    logger.info(f"Training took {_duration(time.perf_counter() - began)}")


def _step(scheduler: LRScheduler) -> None:
    """Step the scheduler without torch's warning: here it goes before the optimizer on purpose."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Detected call of `lr_scheduler.step\(\)`")
        scheduler.step()


def _duration(seconds: float) -> str:
    return str(datetime.timedelta(seconds=int(seconds)))


def _report(
    meters: MetricLogger, iteration: int, last: int, lr: float, writer: MetricsWriter | None
) -> None:
    """Log a line, and record the means over the last iterations."""
    parts = [
        f"eta: {_duration(meters.time.global_avg * (last - iteration))}",
        f"iter: {iteration}",
        str(meters),
        f"lr: {lr:.6f}",
    ]
    values = {name: meter.avg for name, meter in meters.meters.items()} | {"lr": lr}
    if torch.cuda.is_available():
        values["max_mem_mb"] = torch.cuda.max_memory_allocated() / 2**20
        parts.append(f"max mem: {values['max_mem_mb']:.0f}")
    logging.getLogger(_LOGGER).info(meters.delimiter.join(parts))
    if writer is not None:
        writer.write(iteration, values)
