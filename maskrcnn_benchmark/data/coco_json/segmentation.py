"""Validation of segmentations: polygons, RLE, no mask, or malformed."""

from collections.abc import Sequence
from typing import Any

from maskrcnn_benchmark.data.coco_json.problems import Entry
from maskrcnn_benchmark.data.coco_json.values import are_numbers, shown
from maskrcnn_benchmark.structures.rle import plain_runs, read_runs

MIN_COORDINATES = 6  # coordinates of a polygon: three vertices
_BOX = 4  # some files have the box in place of polygons


class MalformedMaskError(ValueError):
    """Raised for a malformed segmentation.

    Args:
        kind: kind of the problem, see ``Problem``.
        text: one line that says what is wrong.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def read_segmentation(segmentation: Any, width: int, height: int) -> Any:
    """Return a normalized segmentation.

    Args:
        segmentation: the raw value of an annotation.
        width: of its image.
        height: of its image.

    Returns:
        A list of polygons of at least three vertices each, floats; or RLE of the image's size with
        valid counts; or None if there is no mask: null, an empty list, only polygons of fewer than
        three vertices, four numbers (a box), or RLE without a pixel.

    Raises:
        MalformedMaskError: it is anything else.
    """
    if isinstance(segmentation, dict):
        return _read_rle(segmentation, width, height)
    if segmentation is None or segmentation == []:
        return None
    if not isinstance(segmentation, list):
        text = f"segmentation {shown(segmentation)} is neither a list of polygons nor RLE"
        raise MalformedMaskError("malformed mask", text)
    if len(segmentation) == _BOX and are_numbers(segmentation):
        return None
    polygons = [p for p in segmentation if _is_polygon(p)]
    for polygon in polygons:
        _refuse_far(polygon, width, height)
    return [[*map(float, polygon)] for polygon in polygons] or None


def _is_polygon(polygon: Any) -> bool:
    """Return whether a polygon has at least three vertices; shorter ones are skipped.

    Raises:
        MalformedMaskError: it is not a list of coordinates at all.
    """
    if not are_numbers(polygon) or len(polygon) % 2:
        text = f"polygon {shown(polygon)} is not a list of an even number of finite numbers"
        raise MalformedMaskError("malformed mask", text)
    return len(polygon) >= MIN_COORDINATES


def _refuse_far(polygon: Sequence[float], width: int, height: int) -> None:
    """Refuse a polygon that lies further outside its image than the image is large.

    Rasterizing it could take hours or crash.
    """
    limit = max(width, height)
    if min(polygon) >= -limit and max(polygon) <= limit + min(width, height):
        return  # a cheap test that suffices for nearly all polygons
    xs, ys = polygon[0::2], polygon[1::2]
    beyond = max(-min(xs), -min(ys), max(xs) - width, max(ys) - height)
    if beyond > limit:
        text = f"a polygon reaches {beyond:.6g} pixels beyond its image of {width} x {height}"
        raise MalformedMaskError("polygon far outside", text)


def _read_rle(rle: Entry, width: int, height: int) -> Entry | None:
    try:
        runs = read_runs(rle, height, width)
    except ValueError as error:
        raise MalformedMaskError("broken RLE", str(error)) from None
    if not runs[1::2].any():
        return None
    plain = plain_runs(runs)
    counts = rle["counts"] if plain is runs else plain.tolist()
    return {"size": [height, width], "counts": counts}
