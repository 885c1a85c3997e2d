"""Processes of one job: rank, world size, barrier, gather, reduce.

Without ``init_process_group``, every function behaves as in a single-process job.
"""

import time
import uuid
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


def _initialized() -> bool:
    return dist.is_available() and dist.is_initialized()


def get_world_size() -> int:
    """Return the number of processes of the job."""
    return dist.get_world_size() if _initialized() else 1


def get_rank() -> int:
    """Return the rank of this process, from 0."""
    return dist.get_rank() if _initialized() else 0


def is_main_process() -> bool:
    """Return whether this process is the one that logs and writes files."""
    return get_rank() == 0


def synchronize() -> None:
    """Wait until every rank reaches this barrier."""
    if get_world_size() > 1:
        dist.barrier()


def fresh_store(store: dist.Store, rank: int, world_size: int, *, timeout: timedelta) -> dist.Store:
    """Return a part of ``store`` that belongs only to the current processes of a job.

    torchrun restarts a job on the same store (https://github.com/pytorch/pytorch/issues/135712).
    It still holds the addresses of the previous processes, and a process that arrives before its
    peers would connect to those. So rank 0 draws a name and sends it to every process that
    registers, previous ones included, until all current ones have answered under that name.

    Args:
        store: reachable by all ranks; may hold entries of previous processes.
        rank: rank of this process.
        world_size: number of processes.
        timeout: how long to wait for the others.

    Raises:
        RuntimeError: some ranks did not arrive in time.
    """
    store.set_timeout(timeout)
    own = uuid.uuid4().hex
    if rank > 0:
        store.set(f"hello/{rank}", own)
        name = store.get(f"welcome/{own}").decode()  # waits
        store.set(f"{name}/here/{rank}", "")
        return dist.PrefixStore(name, store)
    deadline = time.monotonic() + timeout.total_seconds()
    missing = list(range(1, world_size))
    while missing:
        if time.monotonic() > deadline:
            raise RuntimeError(f"ranks {missing} of {world_size} did not arrive")
        for other in missing:
            if store.check([f"hello/{other}"]):
                store.set(f"welcome/{store.get(f'hello/{other}').decode()}", own)
        time.sleep(0.02)
        missing = [other for other in missing if not store.check([f"{own}/here/{other}"])]
    return dist.PrefixStore(own, store)


def all_gather(data: T) -> list[T]:
    """Gather ``data``, any picklable object, from all ranks; return a list in rank order."""
    world_size = get_world_size()
    if world_size == 1:
        return [data]
    gathered: list[T | None] = [None] * world_size
    dist.all_gather_object(gathered, data)
    return gathered  # type: ignore[return-value]


def any_process(flag: Tensor) -> bool:
    """Return whether ``flag``, a one-element bool tensor, is true on any rank."""
    return any_of_each(flag.reshape(1))[0]


def any_of_each(flags: Tensor) -> list[bool]:
    """Return for each of ``flags``, bool ``[K]``, whether it is true on any rank.

    Uses one collective call and one device synchronization for any K.
    """
    if get_world_size() > 1:
        flags = flags.to(torch.int32)
        dist.all_reduce(flags, dist.ReduceOp.MAX)
    return [bool(flag) for flag in flags.tolist()]


def reduce_dict(values: dict[str, Tensor], average: bool = True) -> dict[str, Tensor]:
    """Reduce tensors of equal shape to rank 0 in one collective call.

    Args:
        values: same names on every rank; all tensors share one shape and one dtype.
        average: whether to average over the ranks instead of summing.

    Returns:
        A dict with the same names in the same order. Only the values on rank 0 are meaningful.
    """
    world_size = get_world_size()
    if world_size == 1 or not values:
        return values
    with torch.no_grad():
        names = sorted(values)  # the same order on every rank
        stacked = torch.stack([values[name] for name in names])
        dist.reduce(stacked, dst=0)
        if average and is_main_process():
            stacked /= world_size
        reduced = dict(zip(names, stacked, strict=True))
    return {name: reduced[name] for name in values}
