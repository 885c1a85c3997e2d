"""Many small records in one flat tensor that worker processes share."""

import pickle
from array import array
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from typing import Any, BinaryIO, NamedTuple, TypeVar, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_Self = TypeVar("_Self", bound="PackedRecords")


class Block(NamedTuple):
    """Consecutive records in their packed form.

    Attributes:
        content: the records, one after the other.
        sizes: int64 ``[N]``, bytes of each.
    """

    content: bytes
    sizes: NDArray[np.int64]


class PackedRecords(Sequence[Any]):
    """A sequence of records stored one after the other and unpacked on access.

    A million Python objects would be copied into every forked worker page by page, because reading
    an object writes its reference count. A tensor has no such writes, and PyTorch passes it to
    spawned workers through shared memory.

    Args:
        records: of plain values only: None, numbers, text, lists, tuples and dicts; or blocks of
            them.
        file: an empty, named file that is to hold the content, which is then mapped into memory
            instead of being kept there.
    """

    def __init__(self, records: Iterable[Any | Block], file: BinaryIO | None = None) -> None:
        content, sizes = bytearray(), array("q", [0])
        for record in records:
            packed = record.content if isinstance(record, Block) else pack(record)
            if isinstance(record, Block):
                sizes.frombytes(record.sizes.tobytes())
            else:
                sizes.append(len(packed))
            if file is None:
                content += packed
            else:
                file.write(packed)
        self._ends = torch.from_numpy(np.array(sizes)).cumsum(0)
        size = int(self._ends[-1])
        if file is None or size == 0:
            # frombuffer rejects an empty buffer; otherwise it returns a view without a copy
            self._content = torch.frombuffer(content or bytearray(1), dtype=torch.uint8)
        else:
            file.flush()
            self._content = map_file(file.name, size)

    @classmethod
    def from_parts(cls: type[_Self], content: Tensor, ends: Tensor) -> _Self:
        """Return the records that have these ``parts``."""
        made = cls([])
        made._content, made._ends = content, ends
        return made

    def parts(self) -> tuple[Tensor, Tensor]:
        """Return the content, uint8, and int64 where each record ends in it, from 0."""
        return self._content, self._ends

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __iter__(self) -> Iterator[Any]:
        # a million tensors sliced one by one would take several times as long
        content, start = self._content.numpy().data, 0
        for row, end in enumerate(self._ends[1:].tolist()):
            yield self._unpack(content[start:end], row)
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
        return self._unpack(self._content.numpy().data[start:end], row)

    def _unpack(self, packed: memoryview, row: int) -> Any:
        """Return the record of a row."""
        del row
        return unpack(packed)


class _PlainUnpickler(pickle.Unpickler):
    """Refuses all but plain values, so that no file can run code."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module}.{name} is no plain value")


def pack(record: Any) -> bytes:
    """Return a record in its packed form."""
    return pickle.dumps(record, pickle.HIGHEST_PROTOCOL)


def unpack(packed: memoryview) -> Any:
    """Return the record that ``pack`` was given."""
    return _PlainUnpickler(BytesIO(packed)).load()


def map_file(path: str, size: int) -> Tensor:
    """Return the first ``size`` > 0 bytes of a file, uint8; processes share them."""
    return torch.from_file(path, shared=False, size=size, dtype=torch.uint8)


class GroupedRecords:
    """Packed records that are looked up by group.

    Args:
        records: the records.
        groups: int64 ``[N]``, group index of each record, from 0.
        num_groups: number of groups.
    """

    def __init__(self, records: PackedRecords, groups: Tensor, num_groups: int) -> None:
        self.records = records
        self.sizes = torch.bincount(groups, minlength=num_groups)
        self._ends = self.sizes.cumsum(0)
        self._order = groups.argsort(stable=True)

    def __getitem__(self, group: int) -> list[Any]:
        """Return the records of a group, in the order of ``records``."""
        end = int(self._ends[group])
        rows = self._order[end - int(self.sizes[group]) : end]
        return [self.records[row] for row in rows.tolist()]
