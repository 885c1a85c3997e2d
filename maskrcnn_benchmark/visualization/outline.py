"""Smooth mask outlines at output resolution, and their rendering.

The pixel contour is smoothed, not the mask: staircases vanish, while a mask of one pixel or a line
one pixel wide survives.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_SHIFT = 4  # sub-pixel bits of cv2.polylines and cv2.fillPoly
_SMOOTHING = 1.2  # pixels of the mask, standard deviation along the contour
_PAD = 2  # output pixels around the coverage window, for the antialiased edge

Picture = NDArray[np.uint8]  # [H, W, 3] RGB
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Outline:
    """An instance at output resolution, in output pixels."""

    window: tuple[slice, slice]
    coverage: NDArray[np.float32]  # [h, w] in [0, 1], within the window
    contours: list[Floats]  # [n, 2] xy, in coordinates of the whole image
    box: Floats  # [4] xyxy of the part with the longest contour
    area: float


def _smoothed(contour: Floats, steps_per_pixel: int) -> Floats:
    """Smooth a closed contour [n, 2] by a Gaussian; small ones are smoothed less."""
    sigma = min(_SMOOTHING * steps_per_pixel, len(contour) / 16)
    radius = int(3 * sigma)
    if radius < 1:
        return contour
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    padded = np.pad(contour, ((radius, radius), (0, 0)), mode="wrap")
    columns = [np.convolve(padded[:, i], kernel / kernel.sum(), mode="valid") for i in (0, 1)]
    return np.stack(columns, axis=1)


def _fixed(contours: list[Floats], origin: tuple[int, int] = (0, 0)) -> list[NDArray[np.int32]]:
    """Return contours in OpenCV's fixed-point format, relative to a pixel (x, y)."""
    return [np.rint((c - origin) * 2**_SHIFT).astype(np.int32) for c in contours]


def outline(mask: NDArray[np.bool_], factor: float, shape: tuple[int, int]) -> Outline | None:
    """Return the outline of a mask on an enlarged image.

    Args:
        mask: bool [H, W].
        factor: output pixels per mask pixel.
        shape: (height, width) of the output.

    Returns:
        None for an empty mask.
    """
    x, y, w, h = cv2.boundingRect(mask.view(np.uint8))
    if w == 0:
        return None
    crop = np.pad(mask[y : y + h, x : x + w], 1).astype(np.uint8)
    steps = int(np.ceil(factor)) + 1  # with 1, the contour of a single pixel would be a point
    fine = cv2.resize(crop, None, fx=steps, fy=steps, interpolation=cv2.INTER_NEAREST)
    found, _ = cv2.findContours(fine, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    corner = np.array([x - 1, y - 1], np.float64)
    # a pixel's center is half a pixel from its edge, in the mask and in the output
    contours = [
        (_smoothed(c[:, 0].astype(np.float64), steps) / steps + 0.5 / steps + corner) * factor - 0.5
        for c in found
    ]
    longest = max(contours, key=len)
    low, high = np.array([x, y]) * factor - _PAD, np.array([x + w, y + h]) * factor + _PAD
    left, top = np.maximum(np.floor(low), 0).astype(int).tolist()
    right, bottom = np.minimum(np.ceil(high), shape[::-1]).astype(int).tolist()
    covered = np.zeros((bottom - top, right - left), np.uint8)
    cv2.fillPoly(covered, _fixed(contours, (left, top)), 255, cv2.LINE_AA, _SHIFT)
    return Outline(
        window=(slice(top, bottom), slice(left, right)),
        coverage=(covered / np.float32(255)).astype(np.float32),
        contours=contours,
        box=np.concatenate([longest.min(axis=0), longest.max(axis=0)]),
        area=float(np.count_nonzero(crop)) * factor**2,
    )


def fill(canvas: Picture, shape: Outline, color: NDArray[np.uint8], opacity: float) -> None:
    """Blend a color [3] into the canvas over the instance, in place."""
    view = canvas[shape.window]
    weight = shape.coverage[..., None] * opacity
    view[:] = np.rint(view * (1 - weight) + color.astype(np.float32) * weight).astype(np.uint8)


def stroke(canvas: Picture, shape: Outline, color: NDArray[Any], width: int) -> None:
    """Draw the contour in a color over a slightly wider dark line, in place."""
    points = _fixed(shape.contours)
    dark = tuple(int(0.25 * c) for c in color)
    for rgb, thickness in ((dark, width + 2), (tuple(int(c) for c in color), width)):
        cv2.polylines(canvas, points, True, rgb, thickness, cv2.LINE_AA, _SHIFT)
