"""Validation of many annotations at once, for those in the usual form.

A large file has a million annotations, nearly all alike, and ``Judge`` takes several microseconds
for each. The columns of a list of annotations are checked together here; a list in which anything
is unusual is left to ``Judge``, which alone decides what is an error.
"""

from collections import defaultdict
from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn_benchmark.data.coco_json.annotation_columns import AnnotationColumns
from maskrcnn_benchmark.data.coco_json.entries import Category, Images, num_keypoints_by_id
from maskrcnn_benchmark.data.coco_json.judge import BOX_LENGTH, MAX_AREA, MAX_COORDINATE
from maskrcnn_benchmark.data.coco_json.pack import Block
from maskrcnn_benchmark.data.coco_json.problems import Entry
from maskrcnn_benchmark.data.coco_json.segmentation import (
    MIN_COORDINATES,
    MalformedMaskError,
    read_segmentation,
)
from maskrcnn_benchmark.data.coco_json.values import is_id

_NUMBERS = {int, float}
Rest = defaultdict[int, Entry]


class _UnusualError(Exception):
    """Raised for annotations that ``Judge`` is to decide about."""


class Bulk(NamedTuple):
    """N annotations.

    Attributes:
        block: what ``Judge.annotation`` returns for each, packed for ``PackedAnnotations``.
        rows: int64 ``[N]``, index of each one's image.
        boxes: float64 ``[N, 4]``, ``x, y, width, height``.
        is_crowd: bool ``[N]``.
        has_mask: bool ``[N]``.
    """

    block: Block
    rows: NDArray[np.int64]
    boxes: NDArray[np.float64]
    is_crowd: NDArray[np.bool_]
    has_mask: NDArray[np.bool_]


class BulkJudge:
    """Validates many annotations at once.

    Args:
        images: the well-formed images.
        categories: the well-formed categories.
    """

    def __init__(self, images: Images, categories: Sequence[Category]) -> None:
        self._images = images
        self._num_keypoints = num_keypoints_by_id(categories)

    def annotations(self, entries: Sequence[Any]) -> Bulk | None:
        """Return the raw annotations if all are well-formed and in the usual form, else None."""
        try:
            return self._read(entries)
        # the values of columns are used before all of their types are known
        except (_UnusualError, MalformedMaskError, KeyError, TypeError, OverflowError):
            return None

    def _read(self, entries: Sequence[Any]) -> Bulk:
        rest: Rest = defaultdict(dict)
        image_ids = [entry["image_id"] for entry in entries]
        category_ids = [entry["category_id"] for entry in entries]
        _demand({*self._num_keypoints}.issuperset(category_ids))
        rows = np.array([*map(self._images.row_of.__getitem__, image_ids)], dtype=np.int64)
        crowd = [entry.get("iscrowd", 0) for entry in entries]
        _demand(_types(crowd) <= {int} and {0, 1}.issuperset(crowd))
        integers = [
            _ids([entry.get("id") for entry in entries], "source_id", rest),
            _ids(image_ids, "image_id", rest),
            _ids(category_ids, "category_id", rest),
            np.array(crowd, dtype=np.int64),
        ]
        reals = [_boxes([entry["bbox"] for entry in entries]), _areas(entries)[:, None]]
        polygons = self._polygons(entries, rows, rest)
        _add_keypoints(entries, [self._num_keypoints[i] for i in category_ids], rest)
        has_mask = polygons[0] > 0
        has_mask[[place for place, own in rest.items() if "segmentation" in own]] = True
        columns = AnnotationColumns(
            np.stack(integers, axis=1), np.concatenate(reals, axis=1), *polygons, rest
        )
        return Bulk(columns.pack(), rows, columns.boxes, columns.is_crowd, has_mask)

    def _polygons(
        self, entries: Sequence[Entry], rows: NDArray[np.int64], rest: Rest
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Return ``num_polygons``, ``lengths`` and ``coordinates``; masks in RLE go to the rest."""
        found: list[Any] = [entry.get("segmentation") for entry in entries]
        for place, segmentation in enumerate(found):
            if type(segmentation) is not list:
                mask = read_segmentation(segmentation, *self._images.sizes[rows[place]].tolist())
                found[place] = []
                if mask is not None:
                    rest[place]["segmentation"] = mask
        polygons = [*chain.from_iterable(found)]
        _demand(_types(polygons) <= {list})
        lengths = np.array([*map(len, polygons)], dtype=np.int64)
        _demand(bool(((lengths >= MIN_COORDINATES) & (lengths % 2 == 0)).all()))
        num_polygons = np.array([*map(len, found)], dtype=np.int64)
        coordinates = _numbers([*chain.from_iterable(polygons)])
        if polygons:
            self._demand_near(coordinates, lengths, self._images.sizes[rows.repeat(num_polygons)])
        return num_polygons, lengths, coordinates

    @staticmethod
    def _demand_near(
        coordinates: NDArray[np.float64], lengths: NDArray[np.int64], sizes: NDArray[np.int64]
    ) -> None:
        """Demand what ``segmentation.py`` does of all polygons, a little more strictly.

        Args:
            coordinates: those of all polygons, in sequence.
            lengths: number of coordinates of each polygon.
            sizes: ``[N, 2]``, width and height of each polygon's image.
        """
        starts = lengths.cumsum() - lengths
        limit = sizes.max(axis=1)
        is_near = np.minimum.reduceat(coordinates, starts) >= -limit
        is_near &= np.maximum.reduceat(coordinates, starts) <= limit + sizes.min(axis=1)
        _demand(bool(is_near.all()))


def _demand(usual: bool) -> None:
    if not usual:
        raise _UnusualError


def _types(values: Sequence[Any]) -> set[type]:
    return {*map(type, values)}


def _numbers(values: list[Any]) -> NDArray[np.float64]:
    _demand(_types(values) <= _NUMBERS)
    return np.array(values, dtype=np.float64)


def _ids(values: list[Any], name: str, rest: Rest) -> NDArray[np.int64]:
    """Return ids as a column; those that are text go to the rest, under ``name``."""
    if _types(values) != {int}:
        _demand(all(map(is_id, values)))
        for place, value in enumerate(values):
            if type(value) is str:
                rest[place][name], values[place] = value, 0
    return np.array(values, dtype=np.int64)


def _areas(entries: Sequence[Entry]) -> NDArray[np.float64]:
    """Return the areas; NaN for each if there are none."""
    values = [entry.get("area") for entry in entries]
    if _types(values) == {type(None)}:
        return np.full(len(values), np.nan)
    areas = _numbers(values)
    _demand(bool(((areas >= 0) & (areas <= MAX_AREA)).all()))
    return areas


def _boxes(values: list[Any]) -> NDArray[np.float64]:
    _demand(_types(values) <= {list} and {*map(len, values)} <= {BOX_LENGTH})
    boxes = _numbers([*chain.from_iterable(values)])
    _demand(bool((np.abs(boxes) <= MAX_COORDINATE).all()))
    return boxes.reshape(-1, BOX_LENGTH)


def _add_keypoints(entries: Sequence[Entry], counts: Sequence[int], rest: Rest) -> None:
    """Add ``keypoints`` and ``num_keypoints`` to the rest of those whose category has keypoints.

    Args:
        entries: the raw annotations.
        counts: number of keypoints of each one's category.
        rest: see ``AnnotationColumns``.
    """
    own = [place for place, count in enumerate(counts) if count]
    if not own:
        return
    values: list[Any] = [entries[place].get("keypoints") for place in own]
    lengths = [3 * counts[place] for place in own]
    for place, (value, length) in enumerate(zip(values, lengths, strict=True)):
        if value is None or value == []:
            values[place] = [0.0] * length
    _demand(_types(values) <= {list} and [*map(len, values)] == lengths)
    numbers = _numbers([*chain.from_iterable(values)])
    visibility = numbers[2::3]
    _demand(bool((np.abs(numbers) <= MAX_COORDINATE).all()))
    _demand(bool(np.isin(visibility, (0, 1, 2)).all()))
    starts = np.cumsum([0, *lengths[:-1]]) // 3
    annotated = np.add.reduceat((visibility > 0).astype(np.int64), starts).tolist()
    for place, value, number in zip(own, values, annotated, strict=True):
        rest[place] |= {"keypoints": value, "num_keypoints": number}
