"""Activation checkpointing: a gradient computes the activations again instead of keeping them."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def checkpointed(module: nn.Module, x: Tensor) -> Tensor:
    """Return ``module(x)``; for a gradient only ``x`` is kept, and the call is repeated.

    The numbers are those of a plain call, in mixed precision too. The repeated call changes no
    statistics of batch norms.
    """

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _statistics_kept(module)

    result: Tensor = checkpoint(module, x, use_reentrant=False, context_fn=contexts)
    return result


@contextmanager
def _statistics_kept(module: nn.Module) -> Iterator[None]:
    """Restore the statistics of batch norms at the end."""
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    buffers = [buffer for norm in norms for buffer in norm.buffers()]
    before = [buffer.clone() for buffer in buffers]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in zip(buffers, before, strict=True):
                buffer.copy_(value)
