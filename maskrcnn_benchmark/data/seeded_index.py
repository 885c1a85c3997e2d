"""Per-sample augmentation seeds."""

from __future__ import annotations

import random


class SeededIndex(int):
    """The index of a sample, with the seed for its augmentation.

    Data sets see an int. The seed travels with it into the worker process, so that no
    draw depends on which worker loads the sample or on what the worker drew before.

    Args:
        index: of the sample.
        seed: any text; equal texts give equal draws.
    """

    seed: str

    def __new__(cls, index: int, seed: str) -> SeededIndex:  # noqa: D102
        self = super().__new__(cls, index)
        self.seed = seed
        return self

    def __getnewargs__(self) -> tuple[int, str]:  # type: ignore[override]
        return int(self), self.seed


def random_of(index: int) -> random.Random | None:
    """Return the random generator of a ``SeededIndex``; None for a plain int."""
    return random.Random(index.seed) if isinstance(index, SeededIndex) else None
