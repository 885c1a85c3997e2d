"""Smoothed training metrics, printed as ``name: median (global average)``."""

import math
from collections import deque

import torch


class SmoothedValue:
    """A series of values with median and mean over a window, and the global mean.

    Non-finite values, from a step that overflowed, are skipped. Statistics of an empty series are
    NaN.

    Args:
        window_size: number of recent values used by ``median`` and ``avg``.
    """

    def __init__(self, window_size: int = 20) -> None:
        self.deque: deque[float] = deque(maxlen=window_size)
        self.total = 0.0
        self.count = 0

    def update(self, value: float) -> None:
        """Append a value."""
        if not math.isfinite(value):
            return
        self.deque.append(value)
        self.total += value
        self.count += 1

    @property
    def median(self) -> float:
        """Median of the window; for an even number of values, the lower middle one."""
        return torch.tensor(list(self.deque), dtype=torch.float32).median().item()

    @property
    def avg(self) -> float:
        """Mean of the window, in float32."""
        return torch.tensor(list(self.deque), dtype=torch.float32).mean().item()

    @property
    def global_avg(self) -> float:
        """Mean of all values since the start."""
        return self.total / self.count if self.count else math.nan


class MetricLogger:
    """Several smoothed values by name, in the order of their first appearance.

    Args:
        delimiter: separator of the values in ``str()``.
    """

    def __init__(self, delimiter: str = "\t") -> None:
        self.meters: dict[str, SmoothedValue] = {}
        self.delimiter = delimiter

    def update(self, **values: float) -> None:
        """Append one value to each named series, creating new ones as needed."""
        for name, value in values.items():
            self.meters.setdefault(name, SmoothedValue()).update(float(value))

    def __getattr__(self, name: str) -> SmoothedValue:
        meters = self.__dict__.get("meters", {})
        if name in meters:
            return meters[name]
        known = ", ".join(meters) or "none yet"
        raise AttributeError(f"MetricLogger has no value named {name!r} (it has: {known})")

    def __str__(self) -> str:
        return self.delimiter.join(
            f"{name}: {meter.median:.4f} ({meter.global_avg:.4f})"
            for name, meter in self.meters.items()
        )
