"""Many small records in one flat tensor that worker processes share."""

import pickle
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import torch


class PackedRecords(Sequence[Any]):
    """A sequence of records stored as concatenated pickles and unpickled on access.

    A million Python objects would be copied into every forked worker page by page, because reading
    an object writes its reference count. A tensor has no such writes, and PyTorch passes it to
    spawned workers through shared memory.

    Args:
        records: anything that pickles.
    """

    def __init__(self, records: Iterable[Any]) -> None:
        content, ends = bytearray(), [0]
        for record in records:
            content += pickle.dumps(record, pickle.HIGHEST_PROTOCOL)
            ends.append(len(content))
        # frombuffer rejects an empty buffer; otherwise it returns a view without a copy
        self._content = torch.frombuffer(content or bytearray(1), dtype=torch.uint8)
        self._ends = torch.tensor(ends)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __iter__(self) -> Iterator[Any]:
        # a million tensors sliced one by one would take several times as long
        content, start = self._content.numpy().data, 0
        for end in self._ends[1:].tolist():
            yield pickle.loads(content[start:end])  # noqa: S301 - packed by __init__
            start = end

    @overload
    def __getitem__(self, index: int) -> Any: ...

    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        row = range(len(self))[index]  # raises IndexError, accepts negative indices
        # NumPy's views are several times as fast to slice as tensors
        start, end = self._ends.numpy()[row : row + 2].tolist()
        return pickle.loads(self._content.numpy().data[start:end])  # noqa: S301 - see __init__


class GroupedRecords:
    """Packed records that are looked up by group.

    Args:
        records: the records.
        groups: group index of each record, from 0.
        num_groups: number of groups.
    """

    def __init__(self, records: PackedRecords, groups: Sequence[int], num_groups: int) -> None:
        self.records = records
        of_record = torch.tensor(groups, dtype=torch.int64)
        self.sizes = torch.bincount(of_record, minlength=num_groups)
        self._ends = self.sizes.cumsum(0)
        self._order = of_record.argsort(stable=True)

    def __getitem__(self, group: int) -> list[Any]:
        """Return the records of a group, in the order of ``records``."""
        end = int(self._ends[group])
        rows = self._order[end - int(self.sizes[group]) : end]
        return [self.records[row] for row in rows.tolist()]
