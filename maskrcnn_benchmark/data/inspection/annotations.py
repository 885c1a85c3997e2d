"""Checks of well-formed annotations: boxes, masks, areas, ids."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask
from tqdm import tqdm

from maskrcnn_benchmark.data.datasets.coco_problems import (
    MIN_COORDINATES,
    Entry,
    Problem,
    annotation_problems,
    has_mask,
    mask_problem,
    of_annotation,
)
from maskrcnn_benchmark.data.inspection.rle import rle_problem

_OUTSIDE = 1.0  # pixels that a box or polygon may reach beyond the image without a word
_FAR = 2.5  # pixels between a side of the box and of the mask, which rounding cannot explain
_AREA_TOLERANCE = 0.1  # relative; small masks may also differ by 10 pixels


def inspect_annotations(
    annotations: list[Any], images: Mapping[Any, Entry], category_ids: set[Any]
) -> Iterator[Problem]:
    """Yield what is wrong, or looks wrong, with the annotations.

    Args:
        annotations: entries of the file.
        images: the well-formed image entries by id.
        category_ids: those that the file declares.
    """
    expects_masks = any(isinstance(a, dict) and a.get("segmentation") for a in annotations)
    seen: set[int] = set()
    well_formed = []
    for annotation in tqdm(annotations, "annotations", disable=None, leave=False):
        problems = list(annotation_problems(annotation, images, category_ids))
        yield from problems
        if problems:
            continue
        well_formed.append(annotation["id"])
        yield from _inspect(annotation, images[annotation["image_id"]], expects_masks)
        parts = [annotation.get(k) for k in ("image_id", "category_id", "bbox", "segmentation")]
        content = hash(json.dumps(parts, default=str))
        if content in seen:
            text = "image, category, box and mask are those of an earlier annotation"
            yield of_annotation(annotation, "duplicate annotation", text, "warning")
        seen.add(content)
    for number, times in Counter(well_formed).items():
        if times > 1:
            text = f"annotation id {number} occurs {times} times"
            yield Problem("annotation id twice", text, annotation_id=number)


def _inspect(annotation: Entry, image: Entry, expects_masks: bool) -> Iterator[Problem]:
    """Yield the problems of one well-formed annotation."""
    if annotation["id"] == 0:
        text = "pycocotools counts a match with id 0 as a miss; number from 1"
        yield of_annotation(annotation, "annotation id 0", text, "warning")
    for key in ("area", "iscrowd"):
        if annotation.get(key) is None:
            text = f"no {key}, which evaluation needs"
            yield of_annotation(annotation, f"no {key}", text)
    if annotation.get("iscrowd", 0) not in (0, 1):
        text = f"iscrowd is {annotation['iscrowd']!r}, not 0 or 1"
        yield of_annotation(annotation, "odd iscrowd", text, "warning")
    of_box = list(_box_problems(annotation, image))
    yield from of_box
    # loading does not look at the mask of a crowd
    malformed = mask_problem(annotation.get("segmentation"), image)
    if malformed:
        yield of_annotation(annotation, "malformed mask", malformed)
    elif has_mask(annotation):
        is_box_sound = not any(problem.severity == "error" for problem in of_box)
        yield from _mask_problems(annotation, image, is_box_sound)
    elif expects_masks:
        text = "no polygon of three vertices and no RLE; training on masks leaves it out"
        yield of_annotation(annotation, "no mask", text, "warning")


def _box_problems(annotation: Entry, image: Entry) -> Iterator[Problem]:
    x, y, w, h = annotation["bbox"]
    size = f"{image['width']} x {image['height']}"
    if w <= 0 or h <= 0:
        text = f"bbox {annotation['bbox']} has width {w} and height {h}"
        yield of_annotation(annotation, "box without area", text)
        return
    if x >= image["width"] or y >= image["height"] or x + w <= 0 or y + h <= 0:
        text = f"bbox {annotation['bbox']} lies outside its image of {size}"
        yield of_annotation(annotation, "box outside its image", text)
        return
    beyond = max(-x, -y, x + w - image["width"], y + h - image["height"])
    if beyond > _OUTSIDE:
        text = f"bbox {annotation['bbox']} reaches {beyond:.1f} pixels beyond its image of {size}"
        yield of_annotation(annotation, "box beyond its image", text, "warning")


def _mask_problems(annotation: Entry, image: Entry, is_box_sound: bool) -> Iterator[Problem]:
    """Yield the problems of the mask, and of area and a sound box beside it."""
    mask, height, width = annotation["segmentation"], image["height"], image["width"]
    if isinstance(mask, dict):
        text = rle_problem(mask, height, width)
        if text:
            yield of_annotation(annotation, "broken RLE", text)
            return
        rle = coco_mask.frPyObjects(mask, height, width) if _is_plain(mask) else mask
    else:
        problems = list(_polygon_problems(annotation, image))
        yield from problems
        if any(problem.severity == "error" for problem in problems):
            return
        usable = [polygon for polygon in mask if len(polygon) >= MIN_COORDINATES]
        rle = coco_mask.merge(coco_mask.frPyObjects(usable, height, width))
    area = int(coco_mask.area(rle))
    if area == 0:
        yield of_annotation(annotation, "empty mask", "its mask covers no pixel")
        return
    if is_box_sound:
        yield from _box_against_mask(annotation, coco_mask.toBbox(rle))
    told, tolerance = annotation.get("area"), max(_AREA_TOLERANCE * area, 10)
    if told is None:
        return
    if not isinstance(told, int | float) or not abs(told - area) <= tolerance:  # NaN too
        text = f"area is {told!r}, its mask has {area} pixels"
        yield of_annotation(annotation, "area unlike the mask", text, "warning")


def _is_plain(rle: Mapping[str, Any]) -> bool:
    """Tell whether RLE is uncompressed."""
    return isinstance(rle["counts"], list)


def _polygon_problems(annotation: Entry, image: Entry) -> Iterator[Problem]:
    if annotation.get("iscrowd"):
        text = "a crowd with polygons; COCO's have RLE"
        yield of_annotation(annotation, "crowd with polygons", text, "warning")
    size = np.array([image["width"], image["height"]], np.float64)
    for number, polygon in enumerate(annotation["segmentation"], 1):
        if len(polygon) < MIN_COORDINATES:
            text = f"polygon {number} has {len(polygon) // 2} vertices and is not used"
            yield of_annotation(annotation, "short polygon", text, "warning")
            continue
        points = np.array(polygon, np.float64).reshape(-1, 2)
        beyond = float(np.maximum(-points, points - size).max())
        if beyond > size.max():  # not rasterised either: it could take forever
            text = f"polygon {number} reaches {beyond:.0f} pixels beyond its image"
            yield of_annotation(annotation, "polygon far outside", text)
            continue
        if beyond > _OUTSIDE:
            text = f"polygon {number} reaches {beyond:.1f} pixels beyond its image"
            yield of_annotation(annotation, "polygon beyond its image", text, "warning")
        x, y = (points - points[0]).T
        if abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) < 1e-6:
            text = f"polygon {number} encloses no area"
            yield of_annotation(annotation, "polygon without area", text, "warning")


def _box_against_mask(annotation: Entry, of_mask: Any) -> Iterator[Problem]:
    x, y, w, h = annotation["bbox"]
    mx, my, mw, mh = (float(value) for value in of_mask)
    if x >= mx + mw or y >= my + mh or x + w <= mx or y + h <= my:
        text = f"bbox {annotation['bbox']} and its mask, in {[mx, my, mw, mh]}, do not meet"
        yield of_annotation(annotation, "box elsewhere than the mask", text)
        return
    gap = max(abs(x - mx), abs(y - my), abs(x + w - mx - mw), abs(y + h - my - mh))
    if gap > _FAR:
        text = f"bbox {annotation['bbox']} is {gap:.1f} pixels off its mask's {[mx, my, mw, mh]}"
        yield of_annotation(annotation, "box unlike the mask", text, "warning")
