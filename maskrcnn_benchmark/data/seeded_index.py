"""Per-sample augmentation seeds."""

from __future__ import annotations

import random


class SeededIndex(int):
    """A sample index that carries the seed of the sample's augmentation.

    Data sets see a plain int. The seed travels with the index into the worker process, so that the
    augmentation depends neither on which worker loads the sample nor on what it loaded before.

    Args:
        index: index of the sample.
        seed: any string; equal strings give equal augmentation.
    """

    seed: str

    def __new__(cls, index: int, seed: str) -> SeededIndex:  # noqa: D102
        self = super().__new__(cls, index)
        self.seed = seed
        return self

    def __getnewargs__(self) -> tuple[int, str]:  # type: ignore[override]
        return int(self), self.seed


def random_of(index: int) -> random.Random | None:
    """Return a generator seeded by a ``SeededIndex``; None for a plain int."""
    return random.Random(index.seed) if isinstance(index, SeededIndex) else None
