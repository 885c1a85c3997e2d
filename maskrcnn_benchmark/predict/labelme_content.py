"""Detections of one image as the JSON of labelme, an annotation tool.

Every detection is a shape with the name of its class and its scores (``score``, ``mask_iou``,
``mask_score``), which labelme keeps as additional values of the shape. ``group_id`` is the number
of the detection, from 1.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskrcnn_benchmark.structures import fields
from maskrcnn_benchmark.structures.binary_mask import BinaryMask
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.fields import SCORE_KINDS
from maskrcnn_benchmark.structures.keypoints import KeypointSet
from maskrcnn_benchmark.structures.mask_outline import outline_polygons

_VERSION = "6.3.1"  # of labelme, which read such files in a test
Shape = dict[str, Any]


def labelme_content(
    file_name: str,
    shapes: Sequence[Sequence[Shape]],
    detections: BoxList,
    names: Sequence[str],
    keypoint_set: KeypointSet,
) -> dict[str, Any]:
    """Return the content of the JSON.

    Args:
        file_name: the image, relative to the folder of the JSON.
        shapes: the geometry of each detection: ``mask_shapes``, ``polygon_shapes``, ``box_shapes``.
        detections: N detections.
        names: their class names.
        keypoint_set: names of the keypoints, each of which becomes a point.
    """
    scores = _scores(detections)
    rows: list[Shape] = []
    for index, (own, name) in enumerate(zip(shapes, names, strict=True)):
        common = {"group_id": index + 1, "flags": {}, "description": ""}
        rows += [{"label": name, **shape, **common, **scores[index]} for shape in own]
        if detections.has_field(fields.KEYPOINTS):
            points = detections.get_field(fields.KEYPOINTS).keypoints[index, :, :2].tolist()
            for label, point in zip(keypoint_set.keypoint_names, points, strict=True):
                rows.append({"label": label, "shape_type": "point", "points": [point], **common})
    width, height = detections.size
    return {
        "version": _VERSION,
        "flags": {},
        "shapes": rows,
        "imagePath": file_name,
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }


def _scores(detections: BoxList) -> list[dict[str, float]]:
    columns: Mapping[str, list[float]] = {
        kind.key: detections.get_field(kind.field).tolist()
        for kind in SCORE_KINDS.values()
        if detections.has_field(kind.field)
    }
    return [{key: column[row] for key, column in columns.items()} for row in range(len(detections))]


def mask_shapes(mask: NDArray[np.bool_]) -> list[Shape]:
    """Return a mask ``[H, W]`` as labelme's ``mask``: all pixels of all parts, with their holes.

    The pixels inside the bounding box as PNG, and the corners of the box, both inclusive. There is
    no shape for an empty mask.
    """
    cut = BinaryMask(mask.view(np.uint8))
    height, width = cut.part.shape
    if cut.part.size == 0:
        return []
    left, top = cut.corner
    buffer = io.BytesIO()
    Image.fromarray(cut.part.astype(bool)).save(buffer, "PNG")
    return [
        {
            "shape_type": "mask",
            "points": [[left, top], [left + width - 1, top + height - 1]],
            "mask": base64.b64encode(buffer.getvalue()).decode("ascii"),
        }
    ]


def polygon_shapes(mask: NDArray[np.bool_]) -> list[Shape]:
    """Return a mask ``[H, W]`` as polygons, one for each part; holes are filled.

    There is no shape for an empty mask.
    """
    return [
        {"shape_type": "polygon", "points": np.reshape(outline, (-1, 2)).tolist()}
        for outline in outline_polygons(mask)
    ]


def box_shapes(edges: NDArray[np.float64]) -> list[Shape]:
    """Return a box (left, top, right, bottom) as a rectangle."""
    return [{"shape_type": "rectangle", "points": edges.reshape(2, 2).tolist()}]
