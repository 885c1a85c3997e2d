"""Validation of many annotations at once, for those in the usual form.

A large file has a million annotations, nearly all alike, and ``Judge`` takes several microseconds
for each. The columns of a list of annotations are checked together here; a list in which anything
is unusual is left to ``Judge``, which alone decides what is an error.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn_benchmark.data.coco_json.entries import Category, num_keypoints_by_id
from maskrcnn_benchmark.data.coco_json.judge import BOX_LENGTH, MAX_AREA, MAX_COORDINATE
from maskrcnn_benchmark.data.coco_json.problems import Entry
from maskrcnn_benchmark.data.coco_json.segmentation import (
    MIN_COORDINATES,
    MalformedMaskError,
    read_segmentation,
)
from maskrcnn_benchmark.data.coco_json.values import is_id

_NUMBERS, _IDS = {int, float}, {int, str}


class _UnusualError(Exception):
    """Raised for annotations that ``Judge`` is to decide about."""


class Bulk(NamedTuple):
    """N annotations.

    Attributes:
        records: what ``Judge.annotation`` returns for each.
        rows: index of each one's image.
        boxes: float64 ``[N, 4]``, ``x, y, width, height``.
    """

    records: list[Entry]
    rows: list[int]
    boxes: NDArray[np.float64]


class BulkJudge:
    """Validates many annotations at once.

    Args:
        images: the well-formed image entries; their order gives the rows.
        categories: the well-formed categories.
    """

    def __init__(self, images: Sequence[Entry], categories: Sequence[Category]) -> None:
        self._images = images
        self._row_of = {image["id"]: row for row, image in enumerate(images)}
        sizes = [(image["width"], image["height"]) for image in images]
        self._sizes = np.array(sizes, dtype=np.float64).reshape(-1, 2)
        self._num_keypoints = num_keypoints_by_id(categories)

    def annotations(self, entries: Sequence[Any], first: int) -> Bulk | None:
        """Return the annotations if all are well-formed and in the usual form, otherwise None.

        Args:
            entries: raw entries of the file.
            first: position of the first of them in the file, from 1.
        """
        try:
            return self._read(entries, first)
        # the values of columns are used before all of their types are known
        except (_UnusualError, MalformedMaskError, KeyError, TypeError, OverflowError):
            return None

    def _read(self, entries: Sequence[Any], first: int) -> Bulk:
        image_ids = [entry["image_id"] for entry in entries]
        category_ids = [entry["category_id"] for entry in entries]
        boxes = [entry["bbox"] for entry in entries]
        source_ids = [entry.get("id") for entry in entries]
        _demand(_types(image_ids) <= _IDS and _types(category_ids) <= _IDS)
        _demand(all(map(is_id, source_ids)) and {*self._num_keypoints}.issuperset(category_ids))
        rows = [self._row_of[image_id] for image_id in image_ids]
        crowd = [entry.get("iscrowd", 0) for entry in entries]
        _demand(_types(crowd) <= {int} and {0, 1}.issuperset(crowd))
        columns = zip(
            source_ids,
            image_ids,
            category_ids,
            boxes,
            crowd,
            _areas(entries),
            self._segmentations(entries, rows),
            strict=True,
        )
        records = [
            {
                "id": number,
                "source_id": source_id,
                "image_id": image_id,
                "category_id": category_id,
                "bbox": box,
                "iscrowd": is_crowd,
                "area": area,
                "segmentation": mask,
            }
            for number, (
                source_id,
                image_id,
                category_id,
                box,
                is_crowd,
                area,
                mask,
            ) in enumerate(columns, first)
        ]
        _add_keypoints(records, entries, [self._num_keypoints[i] for i in category_ids])
        return Bulk(records, rows, _boxes(boxes))

    def _segmentations(self, entries: Sequence[Entry], rows: Sequence[int]) -> list[Any]:
        """Return the segmentation of each, see ``read_segmentation``."""
        found: list[Any] = [entry.get("segmentation") for entry in entries]
        of_list: list[int] = []
        for place, segmentation in enumerate(found):
            if type(segmentation) is list and segmentation:
                of_list.append(place)
            else:
                found[place] = read_segmentation(segmentation, self._images[rows[place]])
        polygons = [*chain.from_iterable(found[place] for place in of_list)]
        _demand(_types(polygons) <= {list})
        lengths = np.array([*map(len, polygons)], dtype=np.int64)
        _demand(bool(((lengths >= MIN_COORDINATES) & (lengths % 2 == 0)).all()))
        if polygons:
            owners = np.repeat([rows[i] for i in of_list], [len(found[i]) for i in of_list])
            coordinates = _numbers([*chain.from_iterable(polygons)])
            self._demand_near(coordinates, lengths, self._sizes[owners])
        return found

    @staticmethod
    def _demand_near(
        coordinates: NDArray[np.float64], lengths: NDArray[np.int64], sizes: NDArray[np.float64]
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


def _areas(entries: Sequence[Entry]) -> list[Any]:
    """Return the areas as floats, or None for each if there are none."""
    values = [entry.get("area") for entry in entries]
    if _types(values) == {type(None)}:
        return values
    areas = _numbers(values)
    _demand(bool(((areas >= 0) & (areas <= MAX_AREA)).all()))
    return areas.tolist()


def _boxes(values: list[Any]) -> NDArray[np.float64]:
    _demand(_types(values) <= {list} and {*map(len, values)} <= {BOX_LENGTH})
    boxes = _numbers([*chain.from_iterable(values)])
    _demand(bool((np.abs(boxes) <= MAX_COORDINATE).all()))
    return boxes.reshape(-1, BOX_LENGTH)


def _add_keypoints(
    records: Sequence[Entry], entries: Sequence[Entry], counts: Sequence[int]
) -> None:
    """Add ``keypoints`` and ``num_keypoints`` to the records of categories that have keypoints.

    Args:
        records: what is known of the annotations so far.
        entries: the raw annotations.
        counts: number of keypoints of each one's category.
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
        records[place]["keypoints"], records[place]["num_keypoints"] = value, number
