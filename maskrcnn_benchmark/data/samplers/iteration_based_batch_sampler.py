"""A fixed number of iterations over repeated epochs."""

from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from typing import Any

from torch.utils.data import Sampler

from maskrcnn_benchmark.data.seeded_index import SeededIndex


class IterationBasedBatchSampler(Sampler[list[int]]):
    """Repeat a batch sampler until a number of iterations is reached.

    Each epoch begins with ``set_epoch(iteration)`` of the underlying sampler, if it has one. A run
    that resumes at a later iteration yields exactly the rest of the uninterrupted sequence (the
    original started a new epoch there).

    Ranks whose samples fall into groups differently form different numbers of batches. An epoch
    lasts as long as the longest rank needs, and the others repeat their first batches, so that all
    ranks start the next epoch at the same iteration. (In the original they drifted apart, and after
    the first epoch their slices overlapped.)

    Args:
        batch_sampler: yields batches of sample indices; has an attribute ``sampler``.
        num_iterations: number of iterations of the whole run.
        start_iter: number of iterations already done.
        seed: seed of the run; each sample index carries a seed derived from it and the iteration.
        others: batch samplers of the other ranks.
    """

    def __init__(
        self,
        batch_sampler: Any,
        num_iterations: int,
        start_iter: int = 0,
        *,
        seed: int = 0,
        others: Sequence[Any] = (),
    ) -> None:
        self.batch_sampler = batch_sampler
        self.others = others
        self.num_iterations = num_iterations
        self.start_iter = start_iter
        self.seed = seed

    def __iter__(self) -> Iterator[list[int]]:
        for iteration, batch in zip(range(self.num_iterations), self._passes(), strict=False):
            if iteration >= self.start_iter:
                yield [SeededIndex(i, f"{self.seed}/{iteration}/{i}") for i in batch]

    def _passes(self) -> Iterator[list[int]]:
        """Yield batches endlessly."""
        iteration = 0
        while True:
            for each in (self.batch_sampler, *self.others):
                if hasattr(each.sampler, "set_epoch"):
                    each.sampler.set_epoch(iteration)
            # list() of the sampler itself would call len(), which draws the next epoch
            batches = list(iter(self.batch_sampler))
            if not batches:
                raise ValueError("there is no batch to train on: the sampler yields none")
            length = max(len(batches), *(sum(1 for _ in other) for other in self.others), 0)
            yield from islice(cycle(batches), length)
            iteration += length

    def __len__(self) -> int:
        """Return the number of iterations of the whole run, including those already done."""
        return self.num_iterations
