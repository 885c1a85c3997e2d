"""Functions that run on several ranks connected by gloo."""

import tempfile
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def _enter(
    rank: int, function: Callable[..., None], folder: str, ranks: int, args: tuple[Any, ...]
) -> None:
    torch.set_num_threads(1)
    meet = f"file://{folder}/meet"
    dist.init_process_group(
        "gloo", init_method=meet, rank=rank, world_size=ranks, timeout=timedelta(minutes=2)
    )
    function(rank, *args)
    if dist.is_initialized():
        dist.destroy_process_group()


def on_ranks(function: Callable[..., None], *args: Any, ranks: int = 2) -> None:
    """Call ``function(rank, *args)`` in forked processes; re-raise an error of any rank."""
    with tempfile.TemporaryDirectory() as folder:
        mp.start_processes(
            _enter, args=(function, folder, ranks, args), nprocs=ranks, start_method="fork"
        )
