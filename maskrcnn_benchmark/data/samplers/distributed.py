"""Split each epoch among the ranks."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence, Sized
from functools import lru_cache

import torch
from torch import Tensor
from torch.utils.data import Sampler


@lru_cache(maxsize=1)  # all ranks slice the same permutation
def _random_order(length: int, seed: int) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    order: list[int] = torch.randperm(length, generator=generator).tolist()
    return order


def _repeated(factors: Tensor, seed: int) -> list[int]:
    """Return each index as often as its factor says; the fraction is a probability."""
    generator = torch.Generator().manual_seed(seed)
    draws = torch.rand(len(factors), generator=generator, dtype=torch.float64)
    times = factors.floor().long() + (draws < factors.frac())
    order: list[int] = torch.arange(len(factors)).repeat_interleave(times).tolist()
    return order


class DistributedSampler(Sampler[int]):
    """Give each rank an equal contiguous slice of a permutation that all ranks share.

    The permutation is a function of ``seed`` and the epoch. It is padded with its beginning to a
    multiple of the number of ranks. Also used for a single process.

    Args:
        dataset: the data set to sample from; only its length matters.
        num_replicas: number of ranks.
        rank: rank of this process.
        shuffle: whether to permute the samples in each epoch; otherwise their order is kept.
        seed: seed of the permutations.
        repeats: how often each sample is seen in an epoch (`repeat_factors`), drawn anew in each;
            None: once.

    Raises:
        ValueError: the data set is empty.
    """

    def __init__(
        self,
        dataset: Sized,
        num_replicas: int = 1,
        rank: int = 0,
        *,
        shuffle: bool = True,
        seed: int = 0,
        repeats: Tensor | None = None,
    ) -> None:
        if len(dataset) == 0:
            raise ValueError("DistributedSampler: the data set is empty")
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.shuffle = shuffle
        self.seed = seed
        self.repeats = repeats
        self.epoch = 0

    def _samples(self) -> Sequence[int]:
        """Return the samples of this epoch before they are shuffled."""
        if self.repeats is None:
            return range(len(self.dataset))
        return _repeated(self.repeats, self._epoch_seed())

    def _epoch_seed(self) -> int:
        # seed 0 gives the order of the original, which seeds its generator with the epoch alone
        # (torch uses only the lower 32 bits of a seed)
        return self.epoch + 1_000_003 * self.seed

    def __iter__(self) -> Iterator[int]:
        samples = self._samples()
        length, share = len(samples), self._share(len(samples))
        order: Sequence[int] = range(length)
        if self.shuffle:
            order = _random_order(length, self._epoch_seed())
        start = self.rank * share
        return (samples[order[i % length]] for i in range(start, start + share))

    def _share(self, num_samples: int) -> int:
        return -(-num_samples // self.num_replicas)  # rounded up

    def __len__(self) -> int:
        return self._share(len(self._samples()))

    def of_rank(self, rank: int) -> DistributedSampler:
        """Return the sampler of another rank."""
        other = copy.copy(self)
        other.rank = rank
        return other

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that determines the next permutation."""
        self.epoch = epoch
