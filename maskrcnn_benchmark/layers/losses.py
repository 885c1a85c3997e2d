"""Losses that more than one part of the network could use, as pure functions."""

from __future__ import annotations

import torch
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


def mask_iou_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the mean of 0.5 d^2 over the samples whose target is above 0.

    A mask that misses its object entirely (target 0) is left out, as in the original. Without any
    sample left the loss is 0, with a gradient of 0.

    Args:
        prediction: [R] predicted mask IoU.
        target: [R] true mask IoU.

    Raises:
        ValueError: the shapes differ.
    """
    if prediction.shape != target.shape:
        raise ValueError(
            f"mask_iou_loss: expected target {list(prediction.shape)}, got {list(target.shape)}"
        )
    counted = target > 0
    difference = torch.where(counted, prediction - target, 0)
    return 0.5 * difference.square().sum() / counted.sum().clamp(min=1)
