"""Validation of the categories and images of a COCO file."""

from collections.abc import Sequence
from math import isfinite
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn_benchmark.data.coco_json.keypoints import MalformedKeypointsError, read_keypoint_set
from maskrcnn_benchmark.data.coco_json.pack import PackedRecords
from maskrcnn_benchmark.data.coco_json.problems import Entry, Problem
from maskrcnn_benchmark.data.coco_json.values import as_number, is_id, is_text, shown
from maskrcnn_benchmark.structures.keypoints import KeypointSet

FREQUENCIES = ("r", "c", "f")  # LVIS: rare, common and frequent categories
_MAX_SIDE = 65535  # pixels; a larger image would overflow the 32-bit counts of pycocotools


class Category(NamedTuple):
    """A class of a file.

    Attributes:
        id: its id in the file.
        name: its name.
        frequency: ``r``, ``c`` or ``f`` in LVIS, else None.
        keypoint_set: its keypoints, if any.
    """

    id: Any
    name: str
    frequency: str | None = None
    keypoint_set: KeypointSet | None = None


def judge_categories(entries: list[Any]) -> tuple[list[Category], list[Problem]]:
    """Return the well-formed categories in file order, and the problems of the others."""
    found: dict[Any, Category] = {}
    problems = []
    for entry in entries:
        text = _category_problem(entry)
        if text:
            problems.append(Problem("category entry", text))
        elif entry["id"] in found:
            text = f"category id {shown(entry['id'])} occurs twice"
            problems.append(Problem("category id twice", text))
        else:
            try:
                keypoint_set = read_keypoint_set(entry)
            except MalformedKeypointsError as error:
                text = f"category id {shown(entry['id'])}: {error}"
                problems.append(Problem("malformed keypoints", text))
                continue
            frequency = entry.get("frequency")
            rarity = frequency if frequency in FREQUENCIES else None
            found[entry["id"]] = Category(entry["id"], str(entry["name"]), rarity, keypoint_set)
    if not entries:
        problems.append(Problem("no categories", "there are no categories"))
    return list(found.values()), problems


def num_keypoints_by_id(categories: Sequence[Category]) -> dict[Any, int]:
    """Return the number of keypoints of each category id; 0 without any."""
    sets = {category.id: category.keypoint_set for category in categories}
    return {id_: 0 if own is None else len(own.keypoint_names) for id_, own in sets.items()}


def common_keypoint_set(categories: Sequence[Category]) -> KeypointSet | None:
    """Return the keypoints that the categories share; None if none has any, or they differ."""
    sets = [category.keypoint_set for category in categories if category.keypoint_set is not None]
    return sets[0] if sets and all(other == sets[0] for other in sets) else None


def _category_problem(entry: Any) -> str:
    """Return what is wrong with a category, or ""."""
    if not isinstance(entry, dict) or not {"id", "name"} <= entry.keys():
        return f"category {shown(entry)} needs id, a number, and name"
    if not is_id(entry["id"]):
        return f"category {shown(entry)}: id must be a whole number or text"
    name = entry["name"]
    if type(name) is str and is_text(name):
        return ""
    is_number = is_id(name) or (type(name) is float and isfinite(name))
    return "" if is_number and type(name) is not str else f"{_named(entry)} must be text"


def _named(entry: Entry) -> str:
    return f"category id {shown(entry['id'])}: name {shown(entry['name'])}"


class Images(NamedTuple):
    """The well-formed images of a file, sorted by id, numbers before strings.

    Attributes:
        records: their entries, with integer sizes.
        row_of: index of each by its id.
        sizes: int64 ``[N, 2]``, width and height.
    """

    records: PackedRecords
    row_of: dict[Any, int]
    sizes: NDArray[np.int64]


def judge_images(entries: list[Any]) -> tuple[Images, list[Problem]]:
    """Return the well-formed images, and the problems of the others."""
    images: dict[Any, Entry] = {}
    problems = []
    for entry in map(_with_file_name, entries):
        text = _image_problem(entry)
        if text:
            known = isinstance(entry, dict) and is_id(entry.get("id"))
            problems.append(Problem("image entry", text, entry["id"] if known else None))
        elif entry["id"] in images:
            text = f"image id {shown(entry['id'])} occurs twice"
            problems.append(Problem("image id twice", text, entry["id"]))
        else:
            sizes = {side: _whole(entry[side]) for side in ("height", "width")}
            is_normal = all(entry[side] is size for side, size in sizes.items())
            images[entry["id"]] = entry if is_normal else {**entry, **sizes}
    if not entries:
        problems.append(Problem("no images", "there are no images"))
    ids = sorted(images, key=lambda id_: (type(id_) is str, id_))
    shapes = [(images[id_]["width"], images[id_]["height"]) for id_ in ids]
    row_of = {id_: row for row, id_ in enumerate(ids)}
    records = PackedRecords(images.pop(id_) for id_ in ids)
    return Images(records, row_of, np.array(shapes, dtype=np.int64).reshape(-1, 2)), problems


def _with_file_name(entry: Any) -> Any:
    """Return an image entry of LVIS, which has only ``coco_url``, with ``file_name``."""
    url = entry.get("coco_url") if isinstance(entry, dict) and "file_name" not in entry else None
    if type(url) is not str:
        return entry
    return {**entry, "file_name": "/".join(url.split("/")[-2:])}


def _image_problem(entry: Any) -> str:
    """Return what is wrong with an image entry, or ""."""
    if not isinstance(entry, dict) or not {"id", "file_name", "height", "width"} <= entry.keys():
        return f"image {shown(entry)} needs id, file_name, height and width"
    if not is_id(entry["id"]):
        return f"image {shown(entry)}: id must be a whole number or text"
    name = entry["file_name"]
    if type(name) is not str or not is_text(name):
        return f"image id {shown(entry['id'])}: file_name {shown(name)} must be text"
    height, width = (_whole(entry[side]) for side in ("height", "width"))
    if not height or not width:
        return (
            f"image id {shown(entry['id'])}: height {shown(entry['height'])}, width "
            f"{shown(entry['width'])} must be whole numbers from 1 to {_MAX_SIDE}"
        )
    return ""


def _whole(value: Any) -> int | None:
    """Return a side of an image as int, also given as float or string; None if it is invalid."""
    if type(value) is int and 1 <= value <= _MAX_SIDE:  # nearly always, of 100000 images
        return value
    number = as_number(value)
    is_side = number is not None and 1 <= number <= _MAX_SIDE and number == int(number)
    return int(number) if is_side and number is not None else None
