"""The device and the processes of a run."""

import contextlib
import datetime
import os
import warnings
from collections.abc import Iterator

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from maskrcnn_benchmark.engine.stop_request import TrainingStopped
from maskrcnn_benchmark.utils.comm import fresh_store, synchronize

_WAIT = datetime.timedelta(hours=1)  # for another process; a dead one is noticed at once


def choose_device(
    name: str, *, is_set: bool = False, local_rank: int | None = None
) -> torch.device:
    """Return the device of a name; the CPU if that is a GPU by default and there is none.

    Args:
        name: MODEL.DEVICE.
        is_set: whether the user chose it.
        local_rank: index of this process among those of a job on this machine, which is the index
            of its GPU; None: it is the only process.

    Returns:
        A GPU with its index, or the CPU.

    Raises:
        ValueError: the user asked for a GPU and there is none, or not that one; or for one GPU,
            and there are several processes.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"MODEL.DEVICE is {name!r}; it must be cuda, cuda:N or cpu") from error
    if device.type != "cuda":
        return device
    if not torch.cuda.is_available():
        if is_set:
            raise ValueError(
                f"MODEL.DEVICE is set to {name}, but torch finds no GPU here; "
                "set MODEL.DEVICE cpu, or leave it out to take what there is"
            )
        return torch.device("cpu")
    if local_rank is not None and device.index is not None:
        raise ValueError(
            f"MODEL.DEVICE is {name!r}, but every process of a job takes a GPU of its own: set "
            "MODEL.DEVICE cuda, and choose the GPUs by CUDA_VISIBLE_DEVICES"
        )
    index = device.index if local_rank is None else local_rank
    count = torch.cuda.device_count()
    if (index := index or 0) >= count:
        raise ValueError(
            f"GPU {index} is asked for, and torch finds {count} here, counted from 0: start at "
            "most as many processes on a machine, or set another MODEL.DEVICE"
        )
    return torch.device("cuda", index)


def job_size() -> int:
    """Return the number of processes that torchrun, or a similar launcher, started."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextlib.contextmanager
def joined_processes(device: torch.device) -> Iterator[None]:
    """Connect to the other processes of the job, if there are any, until the run ends.

    A process group that the caller has made is used, and left to the caller.
    """
    if job_size() == 1 or dist.is_initialized():
        yield
        return
    join_processes(device)
    try:
        yield
    except TrainingStopped:  # on all processes; after a failure the others may never answer
        dist.destroy_process_group()
        raise
    dist.destroy_process_group()


def join_processes(device: torch.device) -> None:
    """Connect to the other processes of the job that torchrun, or a similar launcher, started."""
    # the others wait while the main process evaluates, longer than NCCL's ten minutes
    store, rank, world_size = next(dist.rendezvous("env://", timeout=_WAIT))
    dist.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        store=fresh_store(store, rank, world_size, timeout=_WAIT),
        rank=rank,
        world_size=world_size,
        timeout=_WAIT,
    )
    synchronize()


def parallel(model: nn.Module, device: torch.device) -> DistributedDataParallel:
    """Return the model as one of several whose gradients are averaged."""
    with warnings.catch_warnings():
        # renamed in PyTorch 2.14, where the old name warns; the oldest that we support has it alone
        warnings.filterwarnings("ignore", message="`broadcast_buffers` is deprecated")
        return DistributedDataParallel(
            model,
            device_ids=[device] if device.type == "cuda" else None,
            broadcast_buffers=False,  # frozen statistics only
        )


@contextlib.contextmanager
def deterministic_algorithms() -> Iterator[None]:
    """Let torch choose deterministic algorithms only, and raise an error where there is none.

    Enter it before anything is computed: cuBLAS reads its variable when it is first used.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    former = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = False  # the fastest algorithm of today may not be tomorrow's
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(former[0])
        torch.backends.cudnn.benchmark = former[1]
