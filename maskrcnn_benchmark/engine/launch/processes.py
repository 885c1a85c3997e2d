"""Device selection and distributed processes of a run."""

import contextlib
import datetime
import os
import warnings
from collections.abc import Iterator

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import bf16_compress_hook
from torch.nn.parallel import DistributedDataParallel

from maskrcnn_benchmark.engine.stop_request import TrainingStopped
from maskrcnn_benchmark.utils.comm import fresh_store, synchronize

_WAIT = datetime.timedelta(
    hours=1
)  # for collective operations; dead processes are detected at once


def choose_device(
    name: str, *, is_set: bool = False, local_rank: int | None = None
) -> torch.device:
    """Return the device to run on; fall back to the CPU if no GPU is available.

    Args:
        name: MODEL.DEVICE.
        is_set: whether it is set explicitly; if so, there is no fallback.
        local_rank: local rank of this process, used as the GPU index; None: single-process run.

    Returns:
        A GPU with its index, or the CPU.

    Raises:
        ValueError: the requested GPU is not available, or a specific GPU is requested in a job of
            several processes.
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
                f"MODEL.DEVICE is set to {name}, but no GPU is available; "
                "set MODEL.DEVICE cpu, or leave it unset to choose automatically"
            )
        return torch.device("cpu")
    if local_rank is not None and device.index is not None:
        raise ValueError(
            f"MODEL.DEVICE is {name!r}, but each process of a job uses its own GPU: set "
            "MODEL.DEVICE cuda and select the GPUs with CUDA_VISIBLE_DEVICES"
        )
    index = device.index if local_rank is None else local_rank
    count = torch.cuda.device_count()
    if (index := index or 0) >= count:
        raise ValueError(
            f"GPU {index} is requested, but only {count} (indices from 0) are available: start at "
            "most one process per GPU, or change MODEL.DEVICE"
        )
    return torch.device("cuda", index)


def job_size() -> int:
    """Return the number of processes started by torchrun or a similar launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextlib.contextmanager
def joined_processes(device: torch.device) -> Iterator[None]:
    """Initialize the process group of a distributed job, and destroy it at the end of the run.

    A process group that already exists is used and not destroyed.
    """
    if job_size() == 1 or dist.is_initialized():
        yield
        return
    join_processes(device)
    try:
        yield
    except TrainingStopped:  # raised on all ranks; after a failure, the others may hang
        dist.destroy_process_group()
        raise
    dist.destroy_process_group()


def join_processes(device: torch.device) -> None:
    """Initialize the process group of the job that torchrun or a similar launcher started."""
    # the other ranks wait during evaluation, which can exceed NCCL's default of ten minutes
    store, rank, world_size = next(dist.rendezvous("env://", timeout=_WAIT))
    dist.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        store=fresh_store(store, rank, world_size, timeout=_WAIT),
        rank=rank,
        world_size=world_size,
        timeout=_WAIT,
    )
    synchronize()


def parallel(
    model: nn.Module, device: torch.device, gradient_dtype: str = "float32"
) -> DistributedDataParallel:
    """Wrap the model in ``DistributedDataParallel``.

    Args:
        model: the model.
        device: of this rank.
        gradient_dtype: ``float32``, or ``bfloat16`` to exchange the gradients in that type.
    """
    with warnings.catch_warnings():
        # deprecated in PyTorch 2.14; the oldest supported version knows only the old name
        warnings.filterwarnings("ignore", message="`broadcast_buffers` is deprecated")
        wrapped = DistributedDataParallel(
            model,
            device_ids=[device] if device.type == "cuda" else None,
            broadcast_buffers=False,  # the only buffers are frozen statistics
        )
    if gradient_dtype == "bfloat16":
        wrapped.register_comm_hook(None, bf16_compress_hook)
    return wrapped


@contextlib.contextmanager
def deterministic_algorithms() -> Iterator[None]:
    """Use deterministic algorithms only; operators without one raise an error.

    Enter this context before any computation: cuBLAS reads its environment variable on first use.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    former = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = False  # the fastest algorithm may differ between runs
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(former[0])
        torch.backends.cudnn.benchmark = former[1]
