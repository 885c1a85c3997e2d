"""Ground truth in the form that pycocotools evaluates."""

import contextlib
import io
from collections.abc import Iterable, Sequence
from typing import Any

from pycocotools.coco import COCO
from torch import Tensor

from maskrcnn_benchmark.data.coco_json.entries import Category
from maskrcnn_benchmark.data.coco_json.learned import LeftOut
from maskrcnn_benchmark.data.coco_json.problems import Entry
from maskrcnn_benchmark.structures.rle import rle_areas, to_rle

_KEYS = ("id", "name", "frequency")  # of a category that evaluations read


def index_annotations(
    images: Iterable[Entry],
    categories: Sequence[Category],
    annotations: Iterable[Entry],
    left_out: Tensor,
) -> COCO:
    """Return the ground truth of a file as an indexed ``COCO`` object.

    Args:
        images: the image entries.
        categories: the classes.
        annotations: see ``Judge.annotation``.
        left_out: ``LeftOut`` of each annotation.

    Returns:
        Annotations have ids 1 to N, with the file's id in ``source_id``, and always ``area`` (where
        the file has none, that of the mask or else of the box) and ``iscrowd``. What training
        leaves out is marked as crowd, with the reason in ``left_out``, so that a detection of it
        counts neither as true nor as false positive. ``segmentation`` is None for a box without a
        mask.
    """
    by_id = {image["id"]: image for image in images}
    made = []
    for annotation, why in zip(annotations, left_out.tolist(), strict=True):
        image = by_id[annotation["image_id"]]
        if annotation["area"] is None:
            annotation["area"] = _area(annotation, image["height"], image["width"])
        if why != LeftOut.LEARNED:
            annotation |= {"iscrowd": 1, "left_out": LeftOut(why).text}
        made.append(annotation)
    coco = COCO()
    coco.dataset = {
        "images": list(by_id.values()),
        "categories": [
            {key: value for key in _KEYS if (value := getattr(category, key)) is not None}
            for category in categories
        ],
        "annotations": made,
    }
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
        coco.createIndex()
    return coco


def _area(annotation: dict[str, Any], height: int, width: int) -> float:
    """Return the pixel count of an annotation's mask, or the area of its box inside the image."""
    mask = annotation["segmentation"]
    if mask is None:
        x, y, w, h = annotation["bbox"]
        inside_w, inside_h = min(x + w, width) - max(x, 0), min(y + h, height) - max(y, 0)
        return float(max(inside_w, 0) * max(inside_h, 0))
    return float(rle_areas([to_rle(mask, height, width)])[0])
