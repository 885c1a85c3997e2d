"""Batches whose samples belong to one group."""

from collections.abc import Hashable, Iterable, Iterator, Sequence

from torch.utils.data import Sampler


class GroupedBatchSampler(Sampler[list[int]]):
    """Split the samples of a sampler into batches within groups.

    Each group keeps the sampler's order; batches are ordered by their first samples.

    Args:
        sampler: yields the sample indices of each epoch.
        group_ids: group of each sample of the data set.
        batch_size: samples per batch; the last batch of a group may be smaller.
        drop_uneven: whether to drop those smaller batches.
    """

    def __init__(
        self,
        sampler: Iterable[int],
        group_ids: Sequence[Hashable],
        batch_size: int,
        drop_uneven: bool = False,
    ) -> None:
        self.sampler = sampler
        self.group_ids = group_ids
        self.batch_size = batch_size
        self.drop_uneven = drop_uneven
        self._prepared: list[list[int]] | None = None

    def _prepare(self) -> list[list[int]]:
        """Draw one epoch from the sampler and form its batches."""
        open_batches: dict[Hashable, list[int]] = {}
        batches = []
        for index in self.sampler:
            group = self.group_ids[index]
            batch = open_batches.get(group)
            if batch is None or len(batch) == self.batch_size:
                batch = open_batches[group] = []
                batches.append(batch)  # at the position of its first sample
            batch.append(index)
        if self.drop_uneven:
            batches = [batch for batch in batches if len(batch) == self.batch_size]
        return batches

    def __iter__(self) -> Iterator[list[int]]:
        batches = self._prepare() if self._prepared is None else self._prepared
        self._prepared = None
        return iter(batches)

    def __len__(self) -> int:
        """Return the number of batches of the next epoch, which this call draws."""
        if self._prepared is None:
            self._prepared = self._prepare()
        return len(self._prepared)
