"""Reading of COCO annotation files; what is wrong in one is told at once."""

from __future__ import annotations

import contextlib
import io
import json
import mmap
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from maskrcnn_benchmark.data.datasets.coco_problems import (
    Problem,
    category_problems,
    format_problems,
    has_mask,
)
from maskrcnn_benchmark.data.datasets.json_packing import load_packing
from maskrcnn_benchmark.data.datasets.packed_records import PackedRecords
from maskrcnn_benchmark.structures.instance_mask import make_instance_mask

_SHOWN_PROBLEMS = 10
_LISTS = (list, PackedRecords)
_CATEGORIES = b'"categories"'
_MAX_CATEGORIES = 1 << 20  # bytes looked at after that key


def read_annotations(ann_file: str | Path) -> dict[str, Any]:
    """Read and check an annotation file.

    Returns:
        Its content, with the lists ``images`` and ``categories``, and ``annotations`` packed.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not in COCO's format, or holds malformed images or annotations; the
            message names the first of them by their ids.
    """
    content = _parse(ann_file, lambda path: load_packing(path, "annotations"))
    _refuse(ann_file, format_problems(content))
    return content


def index_annotations(content: dict[str, Any]) -> COCO:
    """Return the content of an annotation file as pycocotools has it.

    Its evaluation needs ``area`` and ``iscrowd``; where they are missing they are added, the area
    as that of the mask, or else of the box.
    """
    sizes = {image["id"]: (image["height"], image["width"]) for image in content["images"]}
    for annotation in content["annotations"]:
        annotation.setdefault("iscrowd", 0)
        if "area" not in annotation:
            annotation["area"] = _area(annotation, *sizes[annotation["image_id"]])
    coco = COCO()
    coco.dataset = content
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
        coco.createIndex()
    return coco


def _area(annotation: dict[str, Any], height: int, width: int) -> float:
    """Return the number of pixels of an annotation's mask, or the area of its box."""
    if not has_mask(annotation):
        return float(annotation["bbox"][2] * annotation["bbox"][3])
    mask = make_instance_mask(annotation["segmentation"], (width, height))
    return float(coco_mask.area(mask.to_rle(height, width)))


def read_categories(ann_file: str | Path) -> list[dict[str, Any]]:
    """Return an annotation file's categories, without parsing the rest where that is possible.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not in COCO's format, or a category is malformed.
    """
    path = Path(ann_file)
    categories = _find_categories(path) if path.is_file() and path.stat().st_size else None
    if categories is None:
        categories = parse_coco(path)["categories"]
    _refuse(path, category_problems(categories))
    return categories


def _find_categories(path: Path) -> list[dict[str, Any]] | None:
    """Return the list after the only "categories" in a file; None if it is not that simple."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start = content.find(_CATEGORIES)
        if start < 0 or content.find(_CATEGORIES, start + 1) >= 0:
            return None
        start += len(_CATEGORIES)
        text = content[start : start + _MAX_CATEGORIES].decode(errors="replace")
    try:
        found, _ = json.JSONDecoder().raw_decode(text.lstrip(" \t\r\n:"))
    except ValueError:
        return None
    return found if isinstance(found, list) else None


def _refuse(ann_file: str | Path, found: Iterable[Problem]) -> None:
    """Raise an error of the first problems, if there are any."""
    problems = [problem.text for problem in found]
    if problems:
        shown = problems[:_SHOWN_PROBLEMS]
        rest = len(problems) - len(shown)
        shown += [f"and {rest} more"] if rest else []
        raise ValueError(f"annotation file {ann_file}:\n  " + "\n  ".join(shown))


def parse_coco(ann_file: str | Path) -> dict[str, Any]:
    """Return a file's content, unchecked but for its lists of images, categories, annotations.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not JSON, or has not these lists; annotations may be left out.
    """
    return _parse(ann_file, lambda path: json.loads(path.read_bytes()))


def _parse(ann_file: str | Path, load: Callable[[Path], Any]) -> dict[str, Any]:
    """Return a file's content as ``load`` gives it, with the lists that it needs."""
    path = Path(ann_file)
    if not path.is_file():
        raise FileNotFoundError(f"annotation file {path} does not exist")
    try:
        content = load(path)
    except ValueError as error:
        raise ValueError(f"annotation file {path} is not JSON: {error}") from error
    if isinstance(content, dict):
        content.setdefault("annotations", [])  # test sets have none
    for key in ("images", "categories", "annotations"):
        if not isinstance(content, dict) or not isinstance(content.get(key), _LISTS):
            raise ValueError(f"annotation file {path} is not in COCO format: no list {key!r}")
    return content
