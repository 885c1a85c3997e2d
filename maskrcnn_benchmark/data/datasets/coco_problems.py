"""What makes a COCO annotation file unusable, told by ids. Checks that need no mask arithmetic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any, Literal, NamedTuple

Entry = dict[str, Any]
MIN_COORDINATES = 6  # of a polygon: three vertices


class Problem(NamedTuple):
    """One thing that is wrong.

    Attributes:
        kind: a few words that many problems share, to count them by.
        text: the whole sentence, which names the image or annotation.
        image_id: id of the image that it is about, if any.
        annotation_id: id of the annotation that it is about, if any.
        severity: with an error the file cannot be used as it is meant; a warning may be intended.
    """

    kind: str
    text: str
    image_id: Any = None
    annotation_id: Any = None
    severity: Literal["error", "warning"] = "error"


def of_annotation(
    annotation: Entry, kind: str, text: str, severity: Literal["error", "warning"] = "error"
) -> Problem:
    """Return a problem of an annotation, whose text begins with its id."""
    number = annotation.get("id")
    text = f"annotation id {number}: {text}"
    return Problem(kind, text, annotation.get("image_id"), number, severity)


def format_problems(content: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield all that is wrong with the categories, images and annotations of a file."""
    images = usable_images(content["images"])
    yield from category_problems(content["categories"])
    yield from image_problems(content["images"])
    category_ids = set(category_names(content["categories"]))
    for annotation in content["annotations"]:
        yield from annotation_problems(annotation, images, category_ids)


def category_names(categories: list[Any]) -> dict[Any, str]:
    """Return the name of each well-formed category by its id."""
    return {c["id"]: str(c["name"]) for c in categories if _is_category(c)}


def category_problems(categories: list[Any]) -> Iterator[Problem]:
    """Yield what is wrong with the categories."""
    seen = set()
    for category in categories:
        if not _is_category(category):
            text = f"category {category!r:.80} needs id, a number, and name"
            yield Problem("category entry", text)
        elif category["id"] in seen:
            yield Problem("category id twice", f"category id {category['id']} occurs twice")
        else:
            seen.add(category["id"])
    if not categories:
        yield Problem("no categories", "there are no categories")


def _is_category(entry: Any) -> bool:
    return isinstance(entry, dict) and {"id", "name"} <= entry.keys() and _is_id(entry["id"])


def usable_images(entries: list[Any]) -> dict[Any, Entry]:
    """Return the well-formed image entries by id, the first of each."""
    images: dict[Any, Entry] = {}
    for entry in entries:
        if not _entry_problem(entry):
            images.setdefault(entry["id"], entry)
    return images


def image_problems(entries: list[Any]) -> Iterator[Problem]:
    """Yield what is wrong with the image entries."""
    seen = set()
    for entry in entries:
        text = _entry_problem(entry)
        if text:
            yield Problem("image entry", text)
        elif entry["id"] in seen:
            yield Problem("image id twice", f"image id {entry['id']} occurs twice", entry["id"])
        else:
            seen.add(entry["id"])


def _entry_problem(entry: Any) -> str:
    """Return what is wrong with an image entry, or ""."""
    if not isinstance(entry, dict) or not {"id", "file_name", "height", "width"} <= entry.keys():
        return f"image {entry!r:.80} needs id, file_name, height and width"
    if not _is_id(entry["id"]) or not isinstance(entry["file_name"], str):
        return f"image {entry!r:.80}: id must be a number and file_name a text"
    sizes = (entry["height"], entry["width"])
    if not all(isinstance(size, int | float) and size > 0 for size in sizes):
        return f"image id {entry['id']}: height {sizes[0]}, width {sizes[1]}"
    return ""


def annotation_problems(
    annotation: Any, images: Mapping[Any, Entry], category_ids: set[Any]
) -> Iterator[Problem]:
    """Yield what is wrong with one annotation.

    Args:
        annotation: an entry of the file.
        images: the well-formed image entries by id.
        category_ids: those that the file declares.
    """
    if not isinstance(annotation, dict):
        yield Problem("annotation entry", f"annotation {annotation!r:.80} is not an object")
        return
    missing = {"id", "image_id", "category_id", "bbox"} - annotation.keys()
    if missing:
        text = f"no {', '.join(sorted(missing))}"
        yield of_annotation(annotation, "annotation entry", text)
        return
    box = annotation["bbox"]
    image = images.get(annotation["image_id"]) if _is_id(annotation["image_id"]) else None
    if image is None:
        text = f"there is no image id {annotation['image_id']}"
        yield of_annotation(annotation, "unknown image", text)
    if not _is_id(annotation["category_id"]) or annotation["category_id"] not in category_ids:
        text = f"there is no category id {annotation['category_id']}"
        yield of_annotation(annotation, "unknown category", text)
    if not _finite_numbers(box) or len(box) != 4:
        text = f"bbox {box!r:.60} is not four finite numbers x, y, width, height"
        yield of_annotation(annotation, "malformed box", text)
    if image is not None and not annotation.get("iscrowd", 0):  # a crowd's mask is not used
        text = mask_problem(annotation.get("segmentation"), image)
        if text:
            yield of_annotation(annotation, "malformed mask", text)


def has_mask(annotation: Entry) -> bool:
    """Tell whether an annotation has RLE or a polygon of three vertices or more."""
    mask = annotation.get("segmentation")
    if isinstance(mask, dict):
        return True
    return any(len(polygon) >= MIN_COORDINATES for polygon in mask or [])


def mask_problem(mask: Any, image: Entry) -> str:
    """Return what is wrong with a segmentation, or ""."""
    if isinstance(mask, dict):
        size = [image["height"], image["width"]]
        if mask.get("size") != size or "counts" not in mask:
            return f"RLE needs counts and the size {size} of its image, got {mask.get('size')}"
        return ""
    if not isinstance(mask, list | None):
        return f"segmentation {mask!r:.60} is neither a list of polygons nor RLE"
    for polygon in mask or []:
        if not _finite_numbers(polygon) or len(polygon) % 2:
            return f"polygon {polygon!r:.60} is not an even number of finite numbers"
    return ""


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str)


def _finite_numbers(values: Any) -> bool:
    """Tell whether ``values`` is a list of finite numbers (by its sum: fast on a million)."""
    try:
        return isinstance(values, list) and isfinite(sum(values))
    except TypeError:
        return False
