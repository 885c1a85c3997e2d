"""Plausibility checks of well-formed annotations: boxes, masks, areas, ids."""

from collections import Counter
from collections.abc import Iterator, Sequence, Set
from typing import Any

import numpy as np
from tqdm import tqdm

from maskrcnn_benchmark.data.coco_json import CocoFile, LeftOut
from maskrcnn_benchmark.data.coco_json.problems import Entry, Problem, of_annotation
from maskrcnn_benchmark.data.coco_json.segmentation import MIN_COORDINATES
from maskrcnn_benchmark.data.coco_json.values import shown
from maskrcnn_benchmark.structures.rle import rle_areas, rle_box, to_rle

_OUTSIDE = 1.0  # tolerated overshoot of a box or polygon beyond the image, in pixels
_FAR = 2.5  # gap in pixels between box and mask that rounding cannot explain
_AREA_TOLERANCE = 0.1  # relative; small masks may also differ by 10 pixels

Found = Iterator[tuple[str, str]]  # kind and text of each warning


def inspect_annotations(
    entries: Sequence[Any], file: CocoFile, readable: Set[Any]
) -> Iterator[Problem]:
    """Yield warnings about annotations that loading accepts.

    Args:
        entries: the raw annotations of the file.
        file: the validated content of the file.
        readable: ids of the images whose files have the annotated size; the masks of others are
            not decoded, because a wrong size could be enormous.
    """
    expects_masks = any(record["segmentation"] is not None for record in file.annotations)
    times = Counter(record["source_id"] for record in file.annotations)
    seen: set[str] = set()
    records = tqdm(file.annotations, "annotations", disable=None, leave=False)
    images = list(file.images)
    of_records = zip(records, file.rows.tolist(), file.left_out.tolist(), strict=True)
    for record, row, why in of_records:
        entry, image = entries[record["id"] - 1], images[row]
        found = [
            *_entry_warnings(entry, record, times),
            *_box_warnings(record, image, LeftOut(why)),
        ]
        if record["segmentation"] is not None:
            found += _polygon_warnings(entry, record, image)
            if record["image_id"] in readable:
                found += _mask_warnings(entry, record, image, is_box_sound=why <= LeftOut.CROWD)
        elif expects_masks:
            text = f"segmentation {shown(entry.get('segmentation'))} is no mask: only the box is"
            found.append(("no mask", f"{text} learned and evaluated"))
        parts = ("image_id", "category_id", "bbox", "segmentation")
        content = repr([record[part] for part in parts])
        if content in seen:
            text = "image, category, box and mask equal those of an earlier annotation"
            found.append(("duplicate annotation", text))
        seen.add(content)
        for kind, text in found:
            yield of_annotation(entry, record["id"], kind, text, "warning")


def _entry_warnings(entry: Entry, record: Entry, times: Counter[Any]) -> Found:
    """Yield warnings about missing or unusual optional values of an entry."""
    own_id = record["source_id"]
    if type(own_id) is not int or own_id < 1:
        text = f"id {shown(entry.get('id'))} is not a whole number from 1 on; it is not used here"
        yield "odd annotation id", text
    elif times[own_id] > 1:
        yield "annotation id twice", f"the id occurs {times[own_id]} times; it is not used here"
    area = entry.get("area")
    if area is None or record["area"] is None:
        yield "no area", f"area {shown(area)}: the area of the mask, or else of the box, is used"
    if entry.get("iscrowd") is None:
        yield "no iscrowd", "no iscrowd: 0 is assumed"


def _box_warnings(record: Entry, image: Entry, why: LeftOut) -> Found:
    (x, y, w, h), width, height = record["bbox"], image["width"], image["height"]
    box, size = shown(record["bbox"]), f"{width} x {height}"
    if why > LeftOut.CROWD:
        yield why.text, f"bbox {box} in an image of {size} is not learned, and not evaluated"
        return
    beyond = max(-x, -y, x + w - width, y + h - height)
    if beyond > _OUTSIDE:
        text = f"bbox {box} reaches {beyond:.1f} pixels beyond its image of {size}"
        yield "box beyond its image", text


def _polygon_warnings(entry: Entry, record: Entry, image: Entry) -> Found:
    polygons = entry["segmentation"]
    if not isinstance(polygons, list):
        return
    if record["iscrowd"]:
        yield "crowd with polygons", "a crowd with polygons; crowds in COCO have RLE"
    size = np.array([image["width"], image["height"]], np.float64)
    for number, polygon in enumerate(polygons, 1):
        if len(polygon) < MIN_COORDINATES:
            text = f"polygon {number} has {len(polygon) // 2} vertices and is not used"
            yield "short polygon", text
            continue
        points = np.array(polygon, np.float64).reshape(-1, 2)
        beyond = float(np.maximum(-points, points - size).max())
        if beyond > _OUTSIDE:
            text = f"polygon {number} reaches {beyond:.1f} pixels beyond its image"
            yield "polygon beyond its image", text
        x, y = (points - points[0]).T
        if abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) < 1e-6:  # noqa: PLR2004 - rounding
            yield "polygon without area", f"polygon {number} encloses no area"


def _mask_warnings(entry: Entry, record: Entry, image: Entry, *, is_box_sound: bool) -> Found:
    """Yield warnings about the mask itself, and its agreement with area and a valid box."""
    rle = to_rle(record["segmentation"], image["height"], image["width"])
    area = int(rle_areas([rle])[0])
    if area == 0:
        yield "empty mask", "its mask covers no pixel"
        return
    if is_box_sound:
        yield from _box_against_mask(record, rle_box(rle))
    told = record["area"]
    if told is not None and not abs(told - area) <= max(_AREA_TOLERANCE * area, 10):
        text = f"area is {shown(entry['area'])}, its mask has {area} pixels"
        yield "area unlike the mask", text


def _box_against_mask(record: Entry, of_mask: Any) -> Found:
    x, y, w, h = record["bbox"]
    mx, my, mw, mh = (float(value) for value in of_mask)
    box, extent = shown(record["bbox"]), [mx, my, mw, mh]
    if x >= mx + mw or y >= my + mh or x + w <= mx or y + h <= my:
        text = f"bbox {box} and its mask, in {extent}, do not overlap"
        yield "box elsewhere than the mask", text
        return
    gap = max(abs(x - mx), abs(y - my), abs(x + w - mx - mw), abs(y + h - my - mh))
    if gap > _FAR:
        text = f"bbox {box} is {gap:.1f} pixels off the extent of its mask, {extent}"
        yield "box unlike the mask", text
