"""A small valid data set, detections on it, and random mutations of its JSON."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask

from maskrcnn_benchmark.structures.bounding_box import BoxList

SIZES = {"1.png": (60, 40), "2.png": (60, 40), "3.png": (40, 60)}
_DEEP, _DIGITS = "@deep@", "@digits@"  # inserted as text because json.dumps cannot write them


def _rle(size: tuple[int, int], x: int, y: int, side: int, *, plain: bool) -> dict[str, Any]:
    width, height = size
    pixels = np.zeros((height, width), np.uint8)
    pixels[y : y + side, x : x + side] = 1
    if not plain:
        rle = coco_mask.encode(np.asfortranarray(pixels))
        return {"size": rle["size"], "counts": rle["counts"].decode()}
    flat = pixels.ravel(order="F")
    ends = [0, *(np.flatnonzero(np.diff(flat)) + 1).tolist(), flat.size]
    return {"size": [height, width], "counts": np.diff(ends).tolist()}


def make_base() -> dict[str, Any]:
    """Return valid JSON: polygons, both kinds of RLE, a crowd."""
    images = [
        {"id": 3 * number, "file_name": name, "width": width, "height": height}
        for number, (name, (width, height)) in enumerate(SIZES.items(), 1)
    ]
    places = [(1, 2, 3, 20), (1, 30, 10, 24), (2, 5, 6, 12), (2, 30, 15, 20), (3, 4, 30, 26)]
    places += [(3, 10, 4, 18), (1, 45, 1, 9), (2, 44, 1, 8)]
    annotations = []
    for number, (image, x, y, side) in enumerate(places, 1):
        corners = [x, y, x + side, y, x + side, y + side, x, y + side]
        annotation: dict[str, Any] = {
            "id": number,
            "image_id": 3 * image,
            "category_id": 7 if number % 3 else 2,
            "bbox": [x, y, side, side],
            "area": side * side,
            "iscrowd": int(number == 4),
            "segmentation": [corners],
        }
        if number in (4, 5, 6):
            size = SIZES[f"{image}.png"]
            annotation["segmentation"] = _rle(size, x, y, side, plain=number != 5)
        annotations.append(annotation)
    categories = [{"id": 7, "name": "cat"}, {"id": 2, "name": "dog"}]
    return {"images": images, "categories": categories, "annotations": annotations}


def write_images(folder: Path) -> None:
    """Write the images of the JSON."""
    rng = np.random.default_rng(0)
    for name, (width, height) in SIZES.items():
        pixels = rng.integers(256, size=(height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)


def detections(file_name: str, num_classes: int) -> BoxList:
    """Return fixed detections: most instances, slightly shifted, and one false positive."""
    base = make_base()
    number = list(SIZES).index(file_name) + 1
    rows = [a for a in base["annotations"] if a["image_id"] == 3 * number and a["id"] != 6]
    boxes = [[x + 1, y, x + w - 1, y + h - 2] for x, y, w, h in (a["bbox"] for a in rows)]
    labels = [1 if a["category_id"] == 7 else 2 for a in rows]
    boxes.append([1, 28, 22, 36])
    labels.append(1)
    found = BoxList(torch.tensor(boxes, dtype=torch.float32), SIZES[file_name])
    scores = torch.tensor([0.9 - 0.07 * i - 0.01 * number for i in range(len(boxes))])
    found.add_field("labels", torch.tensor(labels))
    found.add_field("scores", scores)
    found.add_field("mask", torch.ones(len(boxes), 1, 28, 28))
    found.add_field("mask_ious", scores.flip(0))
    found.add_field("mask_scores", scores * scores.flip(0))
    return found[torch.tensor(labels) <= num_classes]


ODD = [None, True, False, 0, 1, -1, 2, 1.0, 0.5, -3.5, 1e-9, 40, 60, 7, 2**31, 2**63, 10**30]
ODD += [10**400, 1e300, float("nan"), float("inf"), float("-inf"), "", "0", "1", "12.5", "40", "x"]
ODD += ["nan", "名前", "a\nb", "\ud800", "b'0P1'", "3", "7", _DEEP, _DIGITS, [], [[]], [[], []]]
ODD += [{}, [0], [1, 2, 3, 4], [0.1, 0.2, 0.3, 0.4], [[1, 1, 2, 2]], [[1, 1, 9, 1, 9, 9]]]
ODD += [[5, 5, 0, 9], [70, 5, 9, 9], [59, 5, 9, 9], [5, 5, 1, 9], [-5, -5, 20, 20], [[[1, 2]]]]
ODD += [[["1", 1, 9, 1, 9, 9]], [[1, 1, 9, 1, 9, True]], [[1, 1, 9, 1, 9, 2e8]], [[1, 1, 9]]]
ODD += [[[1, 1, 9, 1, 9, 9], [2, 2]], [[1, 1, 9, 1, 9, 9]] * 300, [[1, 1, 100, 1, 9, 90]]]
ODD += [{"size": [40, 60], "counts": [2400]}, {"size": [60, 40], "counts": [0, 2400]}]
ODD += [{"size": [40, 60], "counts": [10, 5, 0, 0, 5, 2380]}, {"size": [40, 60], "counts": None}]
ODD += [{"size": [40, 60], "counts": [10, 5, 0, 3, 5, 2377]}, {"size": [40, 60], "counts": "o"}]
ODD += [{"size": [40, 60], "counts": [1000, 500, 900]}, {"size": [40, 60], "counts": "0" * 9}]


# values that are valid for a key, or cause the instance to be left out
MILD: dict[Any, list[Any]] = {
    "area": [None, "12.5", float("nan"), 0, 100, "nan", 2000, 1e10],
    "iscrowd": [0, 1, "0", "1", True, False, 1.0, None],
    "segmentation": [None, [], [[]], [[], []], [1, 2, 3, 4], [[1, 1, 2, 2]]]
    + [[[1, 1, 9, 1, 9, 9], [2, 2]], [[30, 12, 50, 12, 50, 33, 30, 33]] * 300]
    + [[[1, 1, 60, 1, 9, 55]], [[1, 1, 30, 30, 9, 9]], [[1, 1, 9, 9, 5, 5]]]
    + [{"size": [40, 60], "counts": [1000, 500, 900]}, {"size": [40, 60], "counts": [2400]}]
    + [{"size": [60, 40], "counts": [10, 5, 0, 3, 5, 0, 0, 2377]}],
    "bbox": [[5, 5, 0, 9], [70, 5, 9, 9], [59, 5, 9, 9], [5, 5, 1, 9], [-5, -5, 20, 20]]
    + [[3.5, 2.5, 20, 20], [0.1, 0.2, 0.3, 0.4], [5, 5, -3, 9], [30, 10, 300, 20]],
    "id": [0, None, "1", -4, 2**62, "x", [1], 1, 3, 5],
    "name": [1, 2.5, "cat", "dog", "", "名前", "a\nb", "dog (id 2)"],
    "image_id": [3, 6, 9],
    "category_id": [2, 7],
}


def _places(tree: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Collect ``(container, key)`` of every value."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in list(items):
        found.append((tree, key))
        if isinstance(value, dict | list):
            _places(value, found)
    return found


KEYS = ("id", "name", "bbox", "area", "iscrowd", "segmentation", "segmentation", "bbox")
KEYS += ("id", "image_id", "category_id", "bbox", "area", "iscrowd", "segmentation", "name", "size")
KEYS += ("counts", "height", "width", "file_name", "images", "annotations", "categories")


@st.composite
def mutated(draw: Any) -> bytes:
    """Draw mutated JSON, as file content."""
    tree = make_base()
    for _ in range(draw(st.integers(1, 4))):
        key = draw(st.sampled_from(KEYS))
        # by key first, because most values are coordinates
        places = _places(tree, [])
        if not places:
            break
        named = [place for place in places if place[1] == key]
        container, key = draw(st.sampled_from(named or places))
        inner = _places(container[key], []) if isinstance(container[key], dict | list) else []
        if inner and draw(st.integers(0, 4)) == 0:
            container, key = draw(st.sampled_from(inner))
        _mutate(draw, container, key)
    text = json.dumps(tree, ensure_ascii=draw(st.booleans()))
    text = text.replace(f'"{_DEEP}"', "[" * 9999 + "]" * 9999).replace(f'"{_DIGITS}"', "9" * 5000)
    encoding = draw(
        st.sampled_from(["utf-8"] * 30 + ["utf-8-sig"] * 3 + ["utf-16", "latin-1", "utf-32"])
    )
    return text.encode(encoding, "surrogatepass" if encoding != "latin-1" else "replace")


def _mutate(draw: Any, container: Any, key: Any) -> None:
    """Mutate one value."""
    value = container[key] if isinstance(container, list) else container.get(key)
    kind = draw(
        st.sampled_from(
            ["mild"] * 9 + ["odd"] * 2 + ["other", "delete", "rename", "twice", "scale"]
        )
    )
    if kind == "mild" and key in MILD:
        container[key] = copy.deepcopy(draw(st.sampled_from(MILD[key])))
    elif kind == "mild":
        return
    elif kind == "delete":
        del container[key]
    elif kind == "rename" and isinstance(container, dict):
        container[draw(st.sampled_from(KEYS))] = container.pop(key)
    elif kind == "twice" and isinstance(value, list) and value:
        value.append(copy.deepcopy(draw(st.sampled_from(value))))
    elif kind == "other" and type(value) in (int, float):
        container[key] = draw(st.sampled_from([str(value), float(value), value + 0.5, [value]]))
    elif kind == "scale" and type(value) in (int, float):
        container[key] = value * draw(st.sampled_from([0, -1, 0.01, 3, 1000]))
    else:
        container[key] = copy.deepcopy(draw(st.sampled_from(ODD)))
