"""The learning rate of each iteration."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


class WarmupMultiStepLR(LRScheduler):
    """Warm-up, then a drop by ``gamma`` at each milestone.

    Iterations count from 1, and iteration ``i`` trains at the rate of ``last_epoch == i``: step the
    scheduler before the optimizer, as the original does. A checkpoint written after iteration ``i``
    then holds ``last_epoch == i``, the original's ones included.

    Args:
        optimizer: each of its groups scales its own initial rate.
        milestones: iterations from which on the rate is lower, in order.
        gamma: factor of each drop.
        warmup_factor: share of the rate at iteration 0.
        warmup_iters: length of the warm-up.
        warmup_method: ``"linear"`` rises to the full rate, ``"constant"`` stays low and jumps.
        last_epoch: iteration to start after; -1 for a new run.

    Raises:
        ValueError: the milestones are not in order, or the method is unknown.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Sequence[int],
        *,
        gamma: float = 0.1,
        warmup_factor: float = 1.0 / 3,
        warmup_iters: int = 500,
        warmup_method: str = "linear",
        last_epoch: int = -1,
    ) -> None:
        if list(milestones) != sorted(milestones):
            raise ValueError(f"milestones should not decrease, got {list(milestones)}")
        if warmup_method not in ("constant", "linear"):
            raise ValueError(f"warmup_method should be constant or linear, got {warmup_method!r}")
        self.milestones = list(milestones)
        self.gamma = gamma
        self.warmup_factor = warmup_factor
        self.warmup_iters = warmup_iters
        self.warmup_method = warmup_method
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float | Tensor]:
        """Return the rate of each group at iteration ``last_epoch``."""
        drop = self.gamma ** bisect_right(self.milestones, self.last_epoch)
        return [base_lr * self._warmup() * drop for base_lr in self.base_lrs]

    def _warmup(self) -> float:
        """Return the share of the rate that the warm-up allows at this iteration."""
        if self.last_epoch >= self.warmup_iters:
            return 1.0
        if self.warmup_method == "constant":
            return self.warmup_factor
        progress = self.last_epoch / self.warmup_iters
        return self.warmup_factor * (1 - progress) + progress
