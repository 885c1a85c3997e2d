"""Independent interpretation of mutated JSON: slow, obvious, for small files."""

import contextlib
import io
import json
import math
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


class RefusedError(Exception):
    """Raised if the file has an error."""


def demand(condition: Any, why: str) -> None:
    if not condition:
        raise RefusedError(why)


def parse(content: bytes) -> Any:
    try:
        text = content.decode("utf-8-sig")
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RefusedError(str(error)) from error


def is_id(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return abs(value) < 2**63 or value == -(2**63)
    return isinstance(value, str) and not any(0xD800 <= ord(c) <= 0xDFFF for c in value)


def number(value: Any) -> float:
    """Return a number, parsed from text if needed."""
    demand(isinstance(value, int | float | str) and not isinstance(value, bool), "no number")
    try:
        return float(value)
    except (ValueError, OverflowError) as error:
        raise RefusedError("no number") from error


def coordinates(values: Any) -> list[float]:
    demand(isinstance(values, list), "no list")
    for value in values:
        demand(isinstance(value, int | float) and not isinstance(value, bool), "no number")
        demand(math.isfinite(number(value)), "not finite")
    return [float(value) for value in values]


def clean(content: Any) -> dict[str, Any]:
    """Return images, categories and annotations in plain ints and floats; ids are kept aside."""
    demand(isinstance(content, dict), "no object")
    for key in ("images", "categories", "annotations"):
        demand(isinstance(content.get(key, [] if key == "annotations" else None), list), key)
    categories = [_category(entry) for entry in content["categories"]]
    images = [_image(entry) for entry in content["images"]]
    for entries in (categories, images):
        demand(entries, "empty")
        demand(len({(type(e["key"]), e["key"]) for e in entries}) == len(entries), "twice")
    images.sort(key=lambda image: (isinstance(image["key"], str), image["key"]))
    for entries in (categories, images):
        for position, entry in enumerate(entries, 1):
            entry["id"] = position
    annotations = [_annotation(a, images, categories) for a in content.get("annotations", [])]
    for position, entry in enumerate(annotations, 1):
        entry["id"] = position
    demand(not annotations or any(not a["iscrowd"] for a in annotations), "nothing to learn")
    return {"images": images, "categories": categories, "annotations": annotations}


def _category(entry: Any) -> dict[str, Any]:
    demand(isinstance(entry, dict) and is_id(entry.get("id")) and "name" in entry, "category")
    name = entry["name"]
    is_float = isinstance(name, float) and math.isfinite(name)
    demand(is_id(name) or is_float, "name")
    return {"key": entry["id"], "name": str(name)}


def _image(entry: Any) -> dict[str, Any]:
    demand(isinstance(entry, dict) and is_id(entry.get("id")), "image")
    name = entry.get("file_name")
    demand(isinstance(name, str) and is_id(name), "file name")
    sides = [number(entry.get(key)) for key in ("width", "height")]
    demand(all(math.isfinite(s) and s == int(s) and 0 < s < 65536 for s in sides), "size")
    width, height = map(int, sides)
    return {"key": entry["id"], "file_name": name, "width": width, "height": height}


def _find(entries: list[dict[str, Any]], key: Any) -> dict[str, Any]:
    demand(is_id(key), "id")
    found = [e for e in entries if type(e["key"]) is type(key) and e["key"] == key]
    demand(found, "unknown")
    return found[0]


def _annotation(entry: Any, images: list[Any], categories: list[Any]) -> dict[str, Any]:
    demand(isinstance(entry, dict), "annotation")
    image, category = (
        _find(images, entry.get("image_id")),
        _find(categories, entry.get("category_id")),
    )
    box = coordinates(entry.get("bbox"))
    demand(len(box) == 4 and max(map(abs, box)) <= 1e7, "bbox")
    said = entry.get("iscrowd")
    crowd = 0.0 if said is None else float(said) if isinstance(said, bool) else number(said)
    demand(crowd in (0, 1), "iscrowd")
    said = entry.get("area")
    area = math.nan if said is None else number(said)
    demand(math.isnan(area) or 0 <= area <= 1e10, "area")
    pixels = _pixels(entry.get("segmentation"), image)
    width, height = image["width"], image["height"]
    x, y, w, h = box
    left, right = (min(max(v, 0), width) for v in (x, x + w))
    top, bottom = (min(max(v, 0), height) for v in (y, y + h))
    if math.isnan(area):
        area = max(right - left, 0) * max(bottom - top, 0) if pixels is None else pixels.sum()
    # inclusive boxes: the last pixel of the box and of the image
    last_x, last_y = min(x + max(w - 1, 0), width - 1), min(y + max(h - 1, 0), height - 1)
    learned = not crowd and w > 0 and h > 0 and max(x, 0) < last_x and max(y, 0) < last_y
    return {
        "image_id": image["id"],
        "category_id": category["id"],
        "bbox": box,
        "area": float(area),
        "iscrowd": int(not learned),
        "pixels": pixels,
        "outline": [left, top, right, top, right, bottom, left, bottom],
    }


def _pixels(segmentation: Any, image: dict[str, Any]) -> Any:
    """Return the pixels of a mask; None if there is none."""
    width, height = image["width"], image["height"]
    if isinstance(segmentation, dict):
        return _runs(segmentation, height, width)
    if segmentation is None:
        return None
    demand(isinstance(segmentation, list), "segmentation")
    if len(segmentation) == 4 and not any(isinstance(v, list | str | dict) for v in segmentation):
        coordinates(segmentation)
        return None
    polygons = []
    for entry in segmentation:
        polygon = coordinates(entry)
        demand(len(polygon) % 2 == 0, "odd")
        if len(polygon) >= 6:
            polygons.append(polygon)
            xs, ys = polygon[::2], polygon[1::2]
            beyond = max(-min(xs), -min(ys), max(xs) - width, max(ys) - height)
            demand(beyond <= max(width, height), "far")
    if not polygons:
        return None
    if width * height > 10**5:  # refused later: no image of ours is so large
        return np.ones((1, 1), np.uint8)
    parts = [coco_mask.decode(r) for r in coco_mask.frPyObjects(polygons, height, width)]
    return np.max(parts, axis=0)


def _runs(rle: dict[str, Any], height: int, width: int) -> Any:
    size, counts = rle.get("size"), rle.get("counts")
    demand(isinstance(size, list) and all(type(v) is int for v in size), "size")
    demand(size == [height, width], "size")
    if isinstance(counts, str):
        counts = _uncompressed(counts)
    demand(isinstance(counts, list) and all(type(v) is int and v >= 0 for v in counts), "counts")
    demand(sum(counts) == height * width, "sum")
    flat: list[int] = []
    for position, count in enumerate(counts):
        flat += [position % 2] * count
    pixels = np.array(flat, np.uint8).reshape((width, height)).T
    return pixels if pixels.any() else None


def _uncompressed(text: str) -> list[int]:
    counts: list[int] = []
    value = digits = 0
    for character in text:
        code = ord(character) - 48
        demand(0 <= code < 64, "character")
        value += (code % 32) * 32**digits
        digits += 1
        demand(digits <= 7, "too long")
        if code < 32:
            value -= 32**digits if code >= 16 else 0
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = digits = 0
    demand(digits == 0, "cut off")
    return counts


def average_precisions(
    cleaned: dict[str, Any], rows: list[dict[str, Any]], iou_type: str
) -> list[float]:
    """Return COCO's six AP metrics of rows with the file's ids."""
    annotations = []
    for annotation in cleaned["annotations"]:
        made = {k: v for k, v in annotation.items() if k not in ("pixels", "outline")}
        image = cleaned["images"][annotation["image_id"] - 1]
        if iou_type == "segm" and annotation["pixels"] is None:
            made["iscrowd"] = 1
            outlined = coco_mask.frPyObjects(
                [annotation["outline"]], image["height"], image["width"]
            )
            made["segmentation"] = outlined[0]
        elif iou_type == "segm":
            made["segmentation"] = coco_mask.encode(np.asfortranarray(annotation["pixels"]))
        annotations.append(made)
    detections = [
        {
            **row,
            "image_id": _find(cleaned["images"], row["image_id"])["id"],
            "category_id": _find(cleaned["categories"], row["category_id"])["id"],
        }
        for row in rows
    ]
    truth = COCO()
    truth.dataset = {**cleaned, "annotations": annotations}
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        found = truth.loadRes(detections) if detections else COCO()
        evaluation = COCOeval(truth, found, iou_type)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats[:6].tolist()
