"""Learning rate schedules with warm-up."""

import math
from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Sequence

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


class _WarmupLR(LRScheduler):
    """Warm-up, followed by the schedule that ``_decay`` defines.

    Iterations count from 1, and iteration ``i`` uses the rate of ``last_epoch == i``: step the
    scheduler before the optimizer, as the original does. A checkpoint written after iteration ``i``
    then has ``last_epoch == i``, as in the original.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        warmup_factor: float,
        warmup_iters: int,
        warmup_method: str,
        last_epoch: int,
    ) -> None:
        if warmup_method not in ("constant", "linear"):
            raise ValueError(f"warmup_method should be constant or linear, got {warmup_method!r}")
        self.warmup_factor = warmup_factor
        self.warmup_iters = warmup_iters
        self.warmup_method = warmup_method
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float | Tensor]:
        """Return the rate of each group at iteration ``last_epoch``."""
        decay = self._decay()
        return [base_lr * self._warmup() * decay for base_lr in self.base_lrs]

    @abstractmethod
    def _decay(self) -> float:
        """Return the decay factor of the learning rate at this iteration, without the warm-up."""

    def _warmup(self) -> float:
        """Return the warm-up factor of the learning rate at this iteration."""
        if self.last_epoch >= self.warmup_iters:
            return 1.0
        if self.warmup_method == "constant":
            return self.warmup_factor
        progress = self.last_epoch / self.warmup_iters
        return self.warmup_factor * (1 - progress) + progress


class WarmupMultiStepLR(_WarmupLR):
    """Warm-up, then decay by ``gamma`` at each milestone; step it before the optimizer.

    Args:
        optimizer: each of its groups scales its own initial rate.
        milestones: iterations at which the rate decays, in ascending order.
        gamma: factor of each decay.
        warmup_factor: factor of the rate at iteration 0.
        warmup_iters: length of the warm-up in iterations.
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
        self.milestones = list(milestones)
        self.gamma = gamma
        super().__init__(
            optimizer,
            warmup_factor=warmup_factor,
            warmup_iters=warmup_iters,
            warmup_method=warmup_method,
            last_epoch=last_epoch,
        )

    def _decay(self) -> float:
        return self.gamma ** bisect_right(self.milestones, self.last_epoch)


class WarmupCosineLR(_WarmupLR):
    """Warm-up times half a cosine, from 1 to 0 at the last iteration; step it before the optimizer.

    The cosine schedule is that of SGDR (Loshchilov and Hutter 2017) without restarts.

    Args:
        optimizer: each of its groups scales its own initial rate.
        max_iters: iteration at which the rate reaches 0, counted from the start of the warm-up.
        warmup_factor: as in ``WarmupMultiStepLR``.
        warmup_iters: as in ``WarmupMultiStepLR``.
        warmup_method: as in ``WarmupMultiStepLR``.
        last_epoch: as in ``WarmupMultiStepLR``.

    Raises:
        ValueError: the method is unknown.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_iters: int,
        *,
        warmup_factor: float = 1.0 / 3,
        warmup_iters: int = 500,
        warmup_method: str = "linear",
        last_epoch: int = -1,
    ) -> None:
        self.max_iters = max_iters
        super().__init__(
            optimizer,
            warmup_factor=warmup_factor,
            warmup_iters=warmup_iters,
            warmup_method=warmup_method,
            last_epoch=last_epoch,
        )

    def _decay(self) -> float:
        return 0.5 * (1 + math.cos(math.pi * min(self.last_epoch / self.max_iters, 1.0)))
