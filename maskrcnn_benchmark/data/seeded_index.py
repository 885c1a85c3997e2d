"""How a sample learns the seed of its random draws."""

from __future__ import annotations

import random


class SeededIndex(int):
    """The number of a sample, with the seed for its augmentation.

    It is an int to every data set. The seed travels with it into the worker process, so that no
    draw depends on which worker loads the sample or on what the worker drew before.

    Args:
        index: number of the sample.
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
    """Return the generator that a ``SeededIndex`` stands for; None for a plain number."""
    return random.Random(index.seed) if isinstance(index, SeededIndex) else None
