"""Reading of COCO annotation files, with all that is wrong in one told at once."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from typing import Any

from pycocotools.coco import COCO

_SHOWN_PROBLEMS = 10
_MIN_COORDINATES = 6  # of a polygon: three vertices


def read_coco(ann_file: str | Path) -> COCO:
    """Read and check an annotation file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not in COCO's format, or holds malformed images or annotations; the
            message names the first of them by their ids.
    """
    path = Path(ann_file)
    if not path.is_file():
        raise FileNotFoundError(f"annotation file {path} does not exist")
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"annotation file {path} is not JSON: {error}") from error
    for key in ("images", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise ValueError(f"annotation file {path} is not in COCO format: no list {key!r}")
    content.setdefault("annotations", [])  # test sets have none
    problems = list(_problems(content))
    if problems:
        shown = problems[:_SHOWN_PROBLEMS]
        rest = len(problems) - len(shown)
        shown += [f"and {rest} more"] if rest else []
        raise ValueError(f"annotation file {path}:\n  " + "\n  ".join(shown))
    coco = COCO()
    coco.dataset = content
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
        coco.createIndex()
    return coco


def has_mask(annotation: dict[str, Any]) -> bool:
    """Tell whether an annotation has RLE or a polygon of three vertices or more."""
    mask = annotation.get("segmentation")
    if isinstance(mask, dict):
        return True
    return any(len(polygon) >= _MIN_COORDINATES for polygon in mask or [])


def _problems(content: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the images and annotations, one line each."""
    images = {}
    for image in content["images"]:
        if not {"id", "file_name", "height", "width"} <= image.keys():
            yield f"image {image!r:.80} needs id, file_name, height and width"
        elif min(image["height"], image["width"]) <= 0:
            yield f"image id {image['id']}: height {image['height']}, width {image['width']}"
        elif image["id"] in images:
            yield f"image id {image['id']} occurs twice"
        else:
            images[image["id"]] = image
    category_ids = {category["id"] for category in content["categories"]}
    for annotation in content["annotations"]:
        problem = _annotation_problem(annotation, images, category_ids)
        if problem:
            yield f"annotation id {annotation.get('id')}: {problem}"


def _annotation_problem(
    annotation: dict[str, Any], images: dict[int, dict[str, Any]], category_ids: set[int]
) -> str:
    """Return what is wrong with one annotation, or ""."""
    missing = {"id", "image_id", "category_id", "bbox"} - annotation.keys()
    if missing:
        return f"no {', '.join(sorted(missing))}"
    if annotation["image_id"] not in images:
        return f"there is no image id {annotation['image_id']}"
    if annotation["category_id"] not in category_ids:
        return f"there is no category id {annotation['category_id']}"
    box = annotation["bbox"]
    if not _finite_numbers(box) or len(box) != 4:
        return f"bbox {box!r:.60} is not four finite numbers x, y, width, height"
    if annotation.get("iscrowd", 0):  # its mask is not used
        return ""
    return _mask_problem(annotation.get("segmentation"), images[annotation["image_id"]])


def _mask_problem(mask: Any, image: dict[str, Any]) -> str:
    """Return what is wrong with a segmentation, or ""."""
    if isinstance(mask, dict):
        if mask.get("size") != [image["height"], image["width"]] or "counts" not in mask:
            size = [image["height"], image["width"]]
            return f"RLE needs counts and the size {size} of its image, got {mask.get('size')}"
        return ""
    if not isinstance(mask, list | None):
        return f"segmentation {mask!r:.60} is neither a list of polygons nor RLE"
    for polygon in mask or []:
        if not _finite_numbers(polygon) or len(polygon) % 2:
            return f"polygon {polygon!r:.60} is not an even number of finite numbers"
    return ""


def _finite_numbers(values: Any) -> bool:
    """Tell whether ``values`` is a list of finite numbers (by its sum: fast on a million)."""
    try:
        return isinstance(values, list) and isfinite(sum(values))
    except TypeError:
        return False
