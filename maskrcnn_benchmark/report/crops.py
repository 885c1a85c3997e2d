"""Pictures of single instances, cut out of their images."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from maskrcnn_benchmark.data.datasets.images import read_image
from maskrcnn_benchmark.utils.file_names import name_on_disk
from maskrcnn_benchmark.utils.user_error import UserError
from maskrcnn_benchmark.visualization.draw import Picture, draw_instances
from maskrcnn_benchmark.visualization.instances import Instances

_MARGIN = 0.25  # of the longer side of the instances, on each side
_LEAST_MARGIN = 16  # pixels
_GAP = 6  # white pixels between two pictures

Window = tuple[slice, slice]  # rows, columns


def read_annotated_image(folder: str | Path, entry: Mapping[str, Any]) -> Picture:
    """Return the image of an entry of a COCO file, uint8 RGB ``[H, W, 3]``.

    Raises:
        UserError: the file is missing, cannot be read, or is not of the annotated size.
    """
    path = Path(folder) / name_on_disk(entry["file_name"])
    size = (entry["width"], entry["height"])
    image = read_image(path, size)
    if image.size != size:
        raise UserError(
            f"image {path} has {image.width} x {image.height} pixels, but its annotation file says "
            f"{size[0]} x {size[1]}: --images must be the folder of these annotations"
        )
    return np.asarray(image)


def crop_window(instances: Sequence[Instances], size: tuple[int, int]) -> Window:
    """Return the part of an image of ``size`` (height, width) that shows instances with a margin.

    It is the whole image if they are all empty.
    """
    edges = [
        (x, y, x + w, y + h)
        for group in instances
        for index in range(len(group))
        for x, y, w, h in (cv2.boundingRect(group.mask(index, size).view(np.uint8)),)
        if w and h
    ]
    if not edges:
        return slice(0, size[0]), slice(0, size[1])
    x1, y1 = np.min(edges, axis=0)[:2].tolist()
    x2, y2 = np.max(edges, axis=0)[2:].tolist()
    margin = max(_LEAST_MARGIN, round(_MARGIN * max(x2 - x1, y2 - y1)))
    rows = slice(max(0, y1 - margin), min(size[0], y2 + margin))
    return rows, slice(max(0, x1 - margin), min(size[1], x2 + margin))


def crop_instances(instances: Instances, window: Window, size: tuple[int, int]) -> Instances:
    """Return instances in a part of their image, without labels to be drawn."""
    masks = [instances.mask(index, size)[window] for index in range(len(instances))]
    bare = dataclasses.replace(instances, boxes=None, names=None, scores=None, mask_ious=None)
    return dataclasses.replace(bare, masks=masks)


def draw_crop(
    image: Picture, instances: Instances, window: Window, *, long_side: int = 420
) -> Picture:
    """Draw instances on a part of their image.

    Args:
        image: uint8 RGB ``[H, W, 3]``, the whole image.
        instances: in pixels of the image; drawn without text, which belongs below the picture.
        window: the part, see ``crop_window``.
        long_side: pixels of the longer side; larger parts are shrunk, smaller ones enlarged.
    """
    size = (image.shape[0], image.shape[1])
    part = np.ascontiguousarray(image[window])
    cropped = crop_instances(instances, window, size)
    factor = long_side / max(part.shape[:2])
    if factor < 1:
        width, height = (max(1, round(side * factor)) for side in part.shape[1::-1])
        part = _resized(part, (width, height))
        masks = [
            _resized(np.asarray(m, np.uint8), (width, height)) > 0 for m in cropped.masks or ()
        ]
        cropped = dataclasses.replace(cropped, masks=masks)
    return draw_instances(part, cropped, long_side=long_side)


def draw_pair(
    image: Picture, annotation: Instances, prediction: Instances, *, long_side: int = 420
) -> Picture:
    """Draw the same part of an image twice, side by side: with the annotation, the prediction.

    Args:
        image: uint8 RGB ``[H, W, 3]``, the whole image.
        annotation: what is drawn on the left; may be empty.
        prediction: what is drawn on the right; may be empty.
        long_side: pixels of the longer side of each half.
    """
    window = crop_window([annotation, prediction], (image.shape[0], image.shape[1]))
    halves = [
        draw_crop(image, one, window, long_side=long_side) for one in (annotation, prediction)
    ]
    gap = np.full((halves[0].shape[0], _GAP, 3), 255, np.uint8)
    return np.concatenate([halves[0], gap, halves[1]], axis=1)


def _resized(picture: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
