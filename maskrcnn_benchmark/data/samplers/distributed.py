"""The share of each process in a pass over the data."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence, Sized
from functools import lru_cache

import torch
from torch.utils.data import Sampler


@lru_cache(maxsize=1)  # the shares of all processes are cut from one order
def _random_order(length: int, seed: int) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    order: list[int] = torch.randperm(length, generator=generator).tolist()
    return order


class DistributedSampler(Sampler[int]):
    """Contiguous equal shares of one order that all processes know; also good for one process.

    The order is a function of ``seed`` and the epoch. It is padded from its start to a multiple of
    the number of processes.

    Args:
        dataset: what to sample from; only its length matters.
        num_replicas: number of processes.
        rank: of this process.
        shuffle: draw another order in each epoch; otherwise keep the order of the data set.
        seed: another seed gives other orders.

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
            # seed 0 is the original's order, whose generator is seeded with the epoch alone
            # (torch takes the lower 32 bits of a seed alone)
            order = _random_order(length, self.epoch + 1_000_003 * self.seed)
        start = self.rank * self.num_samples
        return (order[i % length] for i in range(start, start + self.num_samples))

    def __len__(self) -> int:
        return self.num_samples

    def of_rank(self, rank: int) -> DistributedSampler:
        """Return the sampler of another process."""
        other = copy.copy(self)
        other.rank = rank
        return other

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next pass."""
        self.epoch = epoch
