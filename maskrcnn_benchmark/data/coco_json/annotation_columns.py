"""Annotations in columns, and their packed form, which is made of all columns at once.

A large file has a million annotations with tens of coordinates each. Pickling them one by one takes
as long as reading the file.
"""

import struct
from collections.abc import Mapping
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn_benchmark.data.coco_json.pack import Block, PackedRecords, pack, unpack
from maskrcnn_benchmark.data.coco_json.problems import Entry

# Words of 8 bytes: 0, by which it differs from a pickle, the integers, the number of polygons and
# the reals; then the length of each polygon and all coordinates; then a pickle of the rest.
_HEADER = struct.Struct("<6q5d")
_WORD = 8  # bytes
_LENGTHS = _HEADER.size // _WORD  # where the lengths begin, in words


class AnnotationColumns(NamedTuple):
    """The records of N annotations, see ``Judge.annotation``, column by column.

    Attributes:
        integers: int64 ``[N, 4]``: ``source_id``, ``image_id``, ``category_id``, ``iscrowd``.
        reals: float64 ``[N, 5]``: ``bbox`` and ``area``, NaN if there is none.
        num_polygons: int64 ``[N]``.
        lengths: int64, number of coordinates of each polygon, of all annotations in sequence.
        coordinates: float64, those of all polygons in sequence.
        rest: by annotation, from 0, what else its record has, and what replaces a column.
    """

    integers: NDArray[np.int64]
    reals: NDArray[np.float64]
    num_polygons: NDArray[np.int64]
    lengths: NDArray[np.int64]
    coordinates: NDArray[np.float64]
    rest: Mapping[int, Entry]

    @property
    def boxes(self) -> NDArray[np.float64]:
        """``[N, 4]``: ``x, y, width, height``."""
        return self.reals[:, :4]

    @property
    def is_crowd(self) -> NDArray[np.bool_]:
        """``[N]``."""
        return self.integers[:, 3] > 0

    def pack(self) -> Block:
        """Return the records in the form that ``PackedAnnotations`` unpacks."""
        ends_of_polygons = np.append(0, self.lengths).cumsum()
        of_annotation = np.append(0, self.num_polygons).cumsum()
        num_coordinates = np.diff(ends_of_polygons[of_annotation])
        sizes = _LENGTHS + self.num_polygons + num_coordinates
        ends = sizes.cumsum()
        starts = ends - sizes
        words = np.empty(sizes.sum(), dtype="<i8")
        header = np.concatenate(
            [
                np.zeros((len(starts), 1), dtype=np.int64),
                self.integers,
                self.num_polygons[:, None],
                self.reals.view(np.int64),
            ],
            axis=1,
        )
        is_coordinate = np.ones(len(words), dtype=bool)
        for column, values in enumerate(header.T):
            words[starts + column] = values
            is_coordinate[starts + column] = False
        firsts = np.repeat(starts + _LENGTHS - of_annotation[:-1], self.num_polygons)
        places = firsts + np.arange(len(self.lengths))
        words[places] = self.lengths
        is_coordinate[places] = False
        words.view("<f8")[is_coordinate] = self.coordinates
        return self._with_rest(words.tobytes(), ends * _WORD)

    def _with_rest(self, content: bytes, ends: NDArray[np.int64]) -> Block:
        """Insert the rest of each record after its columns, which end at ``ends``."""
        sizes = np.diff(ends, prepend=0)
        pieces, last = [], 0
        for place, rest in sorted(self.rest.items()):
            packed, end = pack(rest), int(ends[place])
            pieces += [content[last:end], packed]
            sizes[place] += len(packed)
            last = end
        return Block(b"".join([*pieces, content[last:]]), sizes)


class PackedAnnotations(PackedRecords):
    """The records of annotations, packed one by one or as ``AnnotationColumns``.

    In columns are only those of a file without problems: the ``id`` of each is its row plus 1.
    """

    def _unpack(self, packed: memoryview, row: int) -> Entry:
        if packed[0]:
            return unpack(packed)
        _, *integers, num_polygons, x, y, width, height, area = _HEADER.unpack_from(packed)
        lengths = np.frombuffer(packed, "<i8", num_polygons, _HEADER.size).tolist()
        start = _HEADER.size + num_polygons * _WORD
        coordinates = np.frombuffer(packed, "<f8", sum(lengths), start).tolist()
        polygons = [
            coordinates[end - length : end]
            for length, end in zip(lengths, accumulate(lengths), strict=True)
        ]
        source_id, image_id, category_id, iscrowd = integers
        record = {
            "id": row + 1,
            "source_id": source_id,
            "image_id": image_id,
            "category_id": category_id,
            "bbox": [x, y, width, height],
            "iscrowd": iscrowd,
            "area": None if area != area else area,  # NaN
            "segmentation": polygons or None,
        }
        rest = packed[start + len(coordinates) * _WORD :]
        return record | unpack(rest) if rest else record
