"""Split each epoch among the ranks."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence, Sized
from functools import lru_cache

import torch
from torch.utils.data import Sampler


@lru_cache(maxsize=1)  # all ranks slice the same permutation
def _random_order(length: int, seed: int) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    order: list[int] = torch.randperm(length, generator=generator).tolist()
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
    ) -> None:
        if len(dataset) == 0:
            raise ValueError("DistributedSampler: the data set is empty")
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.shuffle = shuffle
        self.seed = seed
        self.epoch = 0
        self.num_samples = -(-len(dataset) // num_replicas)  # rounded up

    def __iter__(self) -> Iterator[int]:
        length = len(self.dataset)
        order: Sequence[int] = range(length)
        if self.shuffle:
            # seed 0 gives the order of the original, which seeds its generator with the epoch alone
            # (torch uses only the lower 32 bits of a seed)
            order = _random_order(length, self.epoch + 1_000_003 * self.seed)
        start = self.rank * self.num_samples
        return (order[i % length] for i in range(start, start + self.num_samples))

    def __len__(self) -> int:
        return self.num_samples

    def of_rank(self, rank: int) -> DistributedSampler:
        """Return the sampler of another rank."""
        other = copy.copy(self)
        other.rank = rank
        return other

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that determines the next permutation."""
        self.epoch = epoch
