"""Losses that more than one part of the network uses, as pure functions."""

import torch.nn.functional as F
from torch import Tensor


def smooth_l1_loss(
    input: Tensor, target: Tensor, beta: float = 1 / 9, size_average: bool = True
) -> Tensor:
    """Return 0.5 d^2 / beta where |d| < beta and |d| - 0.5 beta elsewhere (Fast R-CNN, eq. 3).

    Args:
        input: prediction, any shape.
        target: what it should be, the same shape.
        beta: where the parabola turns into the line; 0 is the plain L1 loss.
        size_average: the mean over all elements instead of their sum; 0 when there are none.

    Raises:
        ValueError: the shapes differ.
    """
    if input.shape != target.shape:
        raise ValueError(
            f"smooth_l1_loss: expected target {list(input.shape)}, got {list(target.shape)}"
        )
    loss = F.smooth_l1_loss(input, target, reduction="sum", beta=beta)
    return loss / max(input.numel(), 1) if size_average else loss
