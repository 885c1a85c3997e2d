"""Validation of annotations, shared by training, evaluation and inspection.

Convertible values are converted (``"1"`` to 1), missing optional ones are filled in, and what can
only be a mistake is an error. No other code reads raw annotation entries.
"""

from collections.abc import Sequence
from math import isnan
from typing import Any

from maskrcnn_benchmark.data.coco_json.entries import Category, Images, num_keypoints_by_id
from maskrcnn_benchmark.data.coco_json.keypoints import (
    MalformedKeypointsError,
    count_annotated,
    read_keypoints,
)
from maskrcnn_benchmark.data.coco_json.problems import Entry, Problem, of_annotation
from maskrcnn_benchmark.data.coco_json.segmentation import MalformedMaskError, read_segmentation
from maskrcnn_benchmark.data.coco_json.values import are_numbers, as_number, is_id, shown

_REQUIRED = {"bbox", "category_id", "image_id"}
BOX_LENGTH = 4  # numbers
MAX_COORDINATE = 1e7  # pixels; beyond it float32 cannot represent half a pixel
MAX_AREA = 1e10  # upper bound of the area range "all" in COCO's evaluation


class Judge:
    """Validates annotations one at a time.

    Args:
        images: the well-formed images.
        categories: the well-formed categories.
        problems: errors are appended to it.
    """

    def __init__(
        self,
        images: Images,
        categories: Sequence[Category],
        problems: list[Problem],
    ) -> None:
        self._images = images
        self._num_keypoints = num_keypoints_by_id(categories)
        self._problems = problems

    def annotation(self, entry: Any, number: int) -> Entry | None:
        """Return a normalized annotation; None if it is malformed, and then record its problems.

        Args:
            entry: raw entry of the file.
            number: position of the entry in the file, from 1.

        Returns:
            ``id`` (the position, because ids in files may be missing or repeated), ``source_id``
            (the id in the file, None if it is invalid), ``image_id``, ``category_id``, ``bbox``
            (four floats), ``iscrowd`` (0 or 1), ``area`` (a float, or None if missing) and
            ``segmentation`` (see ``read_segmentation``). If its category has keypoints, also
            ``keypoints`` (see ``read_keypoints``) and ``num_keypoints``, how many are annotated.
        """
        if not isinstance(entry, dict):
            text = f"annotation number {number} is {shown(entry)}, not an object"
            self._problems.append(Problem("annotation entry", text, number=number))
            return None
        found: list[tuple[str, str]] = []
        if entry.keys() >= _REQUIRED:
            record = self._read(entry, number, found)
            if not found:
                return record
        else:
            missing = sorted(_REQUIRED - entry.keys())
            found.append(("annotation entry", f"no {', '.join(missing)}"))
        self._problems += [of_annotation(entry, number, kind, text) for kind, text in found]
        return None

    def _read(self, entry: Entry, number: int, found: list[tuple[str, str]]) -> Entry:
        """Return the record of an entry; append kind and text of each problem to ``found``."""
        source_id, image_id, category_id = entry.get("id"), entry["image_id"], entry["category_id"]
        row = self._images.row_of.get(image_id) if is_id(image_id) else None
        if row is None:
            found.append(("unknown image", f"there is no image id {shown(image_id)}"))
        num_keypoints = self._num_keypoints.get(category_id) if is_id(category_id) else None
        if num_keypoints is None:
            found.append(("unknown category", f"there is no category id {shown(category_id)}"))
        record = {
            "id": number,
            "source_id": source_id if is_id(source_id) else None,
            "image_id": image_id,
            "category_id": category_id,
            "bbox": _read_box(entry["bbox"], found),
            "iscrowd": _read_crowd(entry.get("iscrowd"), found),
            "area": _read_area(entry.get("area"), found),
            "segmentation": None,
        }
        if num_keypoints:
            record |= _read_keypoints(entry.get("keypoints"), num_keypoints, found)
        if row is not None:
            width, height = self._images.sizes[row].tolist()
            try:
                record["segmentation"] = read_segmentation(entry.get("segmentation"), width, height)
            except MalformedMaskError as error:
                found.append((error.kind, str(error)))
        return record


def _read_keypoints(value: Any, count: int, found: list[tuple[str, str]]) -> Entry:
    """Return ``keypoints`` and ``num_keypoints``; append problems to ``found``."""
    try:
        keypoints = read_keypoints(value, count)
    except MalformedKeypointsError as error:
        found.append(("malformed keypoints", str(error)))
        return {}
    return {"keypoints": keypoints, "num_keypoints": count_annotated(keypoints)}


def _read_box(box: Any, found: list[tuple[str, str]]) -> list[float]:
    """Return a box; append its problems to ``found``."""
    if not are_numbers(box) or len(box) != BOX_LENGTH:
        text = f"bbox {shown(box)} is not four finite numbers x, y, width, height"
        found.append(("malformed box", text))
        return []
    if max(box) > MAX_COORDINATE or min(box) < -MAX_COORDINATE:
        found.append(("malformed box", f"bbox {shown(box)} is not in pixels of an image"))
        return []
    return [*map(float, box)]


def _read_crowd(value: Any, found: list[tuple[str, str]]) -> int:
    """Return 0 or 1; 0 if the value is missing."""
    if value is None:
        return 0
    number = value if type(value) is bool else as_number(value)
    if number in (0, 1):
        return int(number)
    found.append(("malformed iscrowd", f"iscrowd {shown(value)} is not 0 or 1"))
    return 0


def _read_area(value: Any, found: list[tuple[str, str]]) -> float | None:
    """Return the area; None if it is missing."""
    if value is None:
        return None
    number = as_number(value)
    if number is not None and isnan(number):
        return None
    if number is not None and 0 <= number <= MAX_AREA:
        return number
    found.append(("malformed area", f"area {shown(value)} is not a number from 0 to 1e10"))
    return None
