"""Processes of one job: who am I, wait for the others, exchange values.

Every function works without ``init_process_group`` as in a job of one process.
"""

from __future__ import annotations

from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


def _initialised() -> bool:
    return dist.is_available() and dist.is_initialized()


def get_world_size() -> int:
    """Return the number of processes of the job."""
    return dist.get_world_size() if _initialised() else 1


def get_rank() -> int:
    """Return the number of this process, from 0."""
    return dist.get_rank() if _initialised() else 0


def is_main_process() -> bool:
    """Tell whether this process is the one that logs and writes files."""
    return get_rank() == 0


def synchronize() -> None:
    """Wait until every process has come here."""
    if get_world_size() > 1:
        dist.barrier()


def all_gather(data: T) -> list[T]:
    """Return what every process passed in, by rank; ``data`` is any object that can be pickled."""
    world_size = get_world_size()
    if world_size == 1:
        return [data]
    gathered: list[T | None] = [None] * world_size
    dist.all_gather_object(gathered, data)
    return gathered  # type: ignore[return-value]


def any_process(flag: Tensor) -> bool:
    """Tell every process whether ``flag``, a bool of one element, is true on any of them."""
    if get_world_size() > 1:
        count = flag.to(torch.int32)
        dist.all_reduce(count, dist.ReduceOp.MAX)
        return bool(count.item())
    return bool(flag.item())


def reduce_dict(values: dict[str, Tensor], average: bool = True) -> dict[str, Tensor]:
    """Reduce tensors of equal shape to rank 0, in one exchange.

    Args:
        values: the same names on every process; all tensors have one shape and one dtype.
        average: the mean over processes if true, else the sum.

    Returns:
        A dict with the same names in the same order. Only rank 0's numbers are meaningful.
    """
    world_size = get_world_size()
    if world_size == 1 or not values:
        return values
    with torch.no_grad():
        names = sorted(values)  # one order on every process
        stacked = torch.stack([values[name] for name in names])
        dist.reduce(stacked, dst=0)
        if average and is_main_process():
            stacked /= world_size
        reduced = dict(zip(names, stacked, strict=True))
    return {name: reduced[name] for name in values}
