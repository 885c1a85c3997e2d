"""Read Cityscapes' annotation files: ``*_instanceIds.png`` and ``*_polygons.json``.

A record has ``width``, ``height`` and ``objects``, of which each has the ``name`` of its class, a
``box`` (x, y, width, height) and a ``segmentation`` in COCO's form.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from maskrcnn_benchmark.structures.rle import encode_rle

Record = dict[str, Any]

# classes that have instances, and their label ids
INSTANCES = {
    "person": 24,
    "rider": 25,
    "car": 26,
    "truck": 27,
    "bus": 28,
    "caravan": 29,
    "trailer": 30,
    "train": 31,
    "motorcycle": 32,
    "bicycle": 33,
}
# those of the benchmark
EVALUATED = {name: i for name, i in INSTANCES.items() if name not in ("caravan", "trailer")}
_NAMES = {label: name for name, label in INSTANCES.items()}
_PER_CLASS = 1000  # an instance's pixels are its label id times this, plus its number


def read_label_image(path: Path) -> Record:
    """Read a label image: pixels below 1000 belong to no instance or to a group.

    Raises:
        ValueError: the file is no image of whole numbers.
    """
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image)
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"it is no readable image: {error}") from error
    if pixels.ndim != 2 or not np.issubdtype(pixels.dtype, np.integer):
        raise ValueError(f"it has pixels {pixels.dtype} {list(pixels.shape)}, not whole numbers")
    ys, xs = np.nonzero(pixels >= _PER_CLASS)
    values = pixels[ys, xs]
    objects = []
    for value in np.unique(values).tolist():
        name = _NAMES.get(value // _PER_CLASS)
        if name is None:
            continue
        own = values == value
        x, y = int(xs[own].min()), int(ys[own].min())
        width, height = int(xs[own].max()) + 1 - x, int(ys[own].max()) + 1 - y
        segmentation = encode_rle(pixels == value)
        objects.append({"name": name, "box": [x, y, width, height], "segmentation": segmentation})
    return {"width": pixels.shape[1], "height": pixels.shape[0], "objects": objects}


def read_polygons(path: Path) -> Record:
    """Read a file of polygons; deleted objects and groups are left out.

    Raises:
        ValueError: the file has not Cityscapes' form, or a polygon has fewer than 3 corners.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        record = {"width": int(content["imgWidth"]), "height": int(content["imgHeight"])}
        objects = [
            _read_object(number, entry)
            for number, entry in enumerate(content["objects"])
            if entry["label"] in INSTANCES and not entry.get("deleted")
        ]
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON: {error}") from error
    except KeyError as error:
        raise ValueError(f"it lacks {error}") from error
    except (TypeError, AttributeError) as error:
        raise ValueError(f"it has not the form of Cityscapes' polygons: {error}") from error
    return {**record, "objects": objects}


def _read_object(number: int, entry: dict[str, Any]) -> dict[str, Any]:
    """Read one object."""
    corners = np.asarray(entry["polygon"], dtype=np.float64)
    if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3:
        raise ValueError(
            f"object {number} ({entry['label']}) has a polygon of {len(corners)} corners"
        )
    x, y = corners.min(axis=0).tolist()
    width, height = np.ptp(corners, axis=0).tolist()
    return {
        "name": entry["label"],
        "box": [x, y, width, height],
        "segmentation": [corners.flatten().tolist()],
    }
