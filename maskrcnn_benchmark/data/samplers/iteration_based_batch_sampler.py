"""A run of so many iterations out of passes over the data."""

from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from typing import Any

from torch.utils.data import Sampler

from maskrcnn_benchmark.data.seeded_index import SeededIndex


class IterationBasedBatchSampler(Sampler[list[int]]):
    """Repeat a batch sampler until a number of iterations is reached.

    At the start of each pass ``set_epoch`` of the underlying sampler, where it has one, gets the
    iteration that the pass starts at. A run that starts at a later iteration yields exactly the
    rest of the uninterrupted sequence (the original began a new pass there).

    Processes whose samples fall into groups differently form unequal numbers of batches. A pass
    lasts as long as the longest of them needs, and the others repeat their first batches, so that
    all begin the next pass, which is divided again, at the same iteration. (In the original they
    drifted apart, and after the first pass no longer divided the data.)

    Args:
        batch_sampler: yields batches of sample indices; has an attribute ``sampler``.
        num_iterations: iterations of the whole run.
        start_iter: iterations done before.
        seed: of the run; each sample index carries a seed made of it, the iteration and itself.
        others: the batch samplers of the other processes.
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
        """Yield batches without end."""
        iteration = 0
        while True:
            for each in (self.batch_sampler, *self.others):
                if hasattr(each.sampler, "set_epoch"):
                    each.sampler.set_epoch(iteration)
            # list() of the sampler itself asks for its length, for which it draws the next pass
            batches = list(iter(self.batch_sampler))
            if not batches:
                raise ValueError("there is no batch to train on: the sampler yields none")
            length = max(len(batches), *(sum(1 for _ in other) for other in self.others), 0)
            yield from islice(cycle(batches), length)
            iteration += length

    def __len__(self) -> int:
        """Return the iterations of the whole run, those done before included."""
        return self.num_iterations
