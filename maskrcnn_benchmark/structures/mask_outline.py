"""Convert a mask to COCO polygons."""

import cv2
import numpy as np
from numpy.typing import NDArray


def outline_polygons(mask: NDArray[np.bool_]) -> list[list[float]]:
    """Return the outer borders of a mask as COCO polygons.

    Polygons cannot represent holes: rasterizing them fills the holes.

    Args:
        mask: bool ``[H, W]``.

    Returns:
        Flat lists ``x0, y0, x1, y1, ...`` in continuous pixels (pixel ``i`` covers ``[i, i + 1)``),
        one per connected component; none for an empty mask.
    """
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    # OpenCV traces the centers of border pixels; doubling the size halves the rim that is cut off
    doubled = mask[y : y + height, x : x + width].astype(np.uint8).repeat(2, 0).repeat(2, 1)
    if doubled.size == 0:
        return []
    contours, _ = cv2.findContours(doubled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    outlines = [(contour.reshape(-1, 2) + 0.5) / 2 + np.array([x, y]) for contour in contours]
    return [[float(v) for v in outline.ravel()] for outline in outlines]
