"""Losses shared by several parts of the model."""

import torch.nn.functional as F
from torch import Tensor

from maskrcnn_benchmark.layers._torchvision import operators


def smooth_l1_loss(
    input: Tensor, target: Tensor, beta: float = 1 / 9, size_average: bool = True
) -> Tensor:
    """Return 0.5 d^2 / beta where |d| < beta and |d| - 0.5 beta elsewhere (Fast R-CNN, eq. 3).

    Args:
        input: predictions of any shape.
        target: targets of the same shape.
        beta: threshold between the quadratic and the linear part; 0 gives the L1 loss.
        size_average: whether to return the mean over all elements, 0 if there are none, instead of
            the sum.

    Raises:
        ValueError: the shapes differ.
    """
    if input.shape != target.shape:
        raise ValueError(
            f"smooth_l1_loss: expected target {list(input.shape)}, got {list(target.shape)}"
        )
    loss = F.smooth_l1_loss(input, target, reduction="sum", beta=beta)
    return loss / max(input.numel(), 1) if size_average else loss


def sigmoid_focal_loss(
    inputs: Tensor,
    targets: Tensor,
    alpha: float = 0.25,
    gamma: float = 2,
    reduction: str = "none",
) -> Tensor:
    """Return the focal loss of logits (Lin et al., ICCV 2017, eq. 5), by torchvision.

    Args:
        inputs: logits, any shape.
        targets: 0 or 1, the same shape.
        alpha: weight of the targets 1, and ``1 - alpha`` of the targets 0; negative: no weights.
        gamma: how much less what is right already counts.
        reduction: ``none``, ``mean`` or ``sum``.
    """
    loss: Tensor = operators().sigmoid_focal_loss(inputs, targets, alpha, gamma, reduction)
    return loss
