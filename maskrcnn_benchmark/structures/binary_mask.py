"""The mask of one instance as a bitmap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskrcnn_benchmark.structures.bounding_box import FLIP_LEFT_RIGHT
from maskrcnn_benchmark.structures.rle import Rle, encode_rle

Box = Sequence[float]
Bitmap = NDArray[np.uint8]


def floored_size(box: Box) -> tuple[float, float]:
    """Return the width and height of a box without +1, at least 1."""
    return max(float(box[2] - box[0]), 1.0), max(float(box[3] - box[1]), 1.0)


def share_of(inside: int, whole: int) -> float:
    """Return ``inside / whole``, NaN without any area."""
    return inside / whole if whole > 0 else float("nan")


def _occupied(line: NDArray[Any]) -> slice:
    """Return the shortest slice that contains all nonzero values; empty if there are none."""
    found = np.flatnonzero(line)
    return slice(int(found[0]), int(found[-1]) + 1) if found.size else slice(0, 0)


class BinaryMask:
    """A bitmap mask of 0 and 1, for RLE annotations and masks with holes.

    Only the pixels inside its bounding box are stored, because an image may have hundreds of
    instances, most of them small.

    Args:
        pixels: ``[h, w]``.
        corner: ``(left, top)``, position of ``pixels`` on the canvas, which is 0 elsewhere.
        size: ``(width, height)`` of the canvas; by default the size of ``pixels``.
    """

    def __init__(
        self,
        pixels: Bitmap,
        corner: tuple[int, int] = (0, 0),
        size: tuple[int, int] | None = None,
    ) -> None:
        height, width = pixels.shape
        self.size = size or (width, height)
        rows, cols = (
            _occupied(pixels.max(axis=1, initial=0)),
            _occupied(pixels.max(axis=0, initial=0)),
        )
        self.corner = (corner[0] + cols.start, corner[1] + rows.start)
        self.part = pixels[rows, cols].copy()  # a view would keep the whole array alive

    @property
    def pixels(self) -> Bitmap:
        """The whole canvas, ``[height, width]``."""
        (left, top), (width, height) = self.corner, self.size
        canvas = np.zeros((height, width), dtype=np.uint8)
        canvas[top : top + self.part.shape[0], left : left + self.part.shape[1]] = self.part
        return canvas

    def transpose(self, method: int, size: tuple[float, float], pixel_offset: float) -> BinaryMask:
        """Flip in an image of ``size``."""
        del size, pixel_offset
        (left, top), (height, width) = self.corner, self.part.shape
        if method == FLIP_LEFT_RIGHT:
            return BinaryMask(self.part[:, ::-1], (self.size[0] - left - width, top), self.size)
        return BinaryMask(self.part[::-1], (left, self.size[1] - top - height), self.size)

    def _sample(self, xs: NDArray[np.floating[Any]], ys: NDArray[np.floating[Any]]) -> BinaryMask:
        """Sample the mask on a grid of increasing coordinates; it is 0 outside the canvas."""
        cols = np.floor(xs).astype(int) - self.corner[0]
        rows = np.floor(ys).astype(int) - self.corner[1]
        height, width = self.part.shape
        in_cols = _occupied((cols >= 0) & (cols < width))
        in_rows = _occupied((rows >= 0) & (rows < height))
        picked = self.part[np.ix_(rows[in_rows], cols[in_cols])]
        return BinaryMask(picked, (in_cols.start, in_rows.start), (len(xs), len(ys)))

    def _stretch(self, box: Box, width: int, height: int) -> BinaryMask:
        """Sample ``box`` at the centers of ``width x height`` cells."""
        box_w, box_h = floored_size(box)
        xs = box[0] + (np.arange(width) + 0.5) * (box_w / width)
        ys = box[1] + (np.arange(height) + 0.5) * (box_h / height)
        return self._sample(xs, ys)

    def crop(self, box: Box) -> BinaryMask:
        """Crop to ``box``; the result has at least one pixel."""
        width, height = max(int(box[2] - box[0]), 1), max(int(box[3] - box[1]), 1)
        xs, ys = box[0] + np.arange(width) + 0.5, box[1] + np.arange(height) + 0.5
        return self._sample(xs, ys)

    def scale(self, ratio_w: float, ratio_h: float) -> BinaryMask:
        """Resize with nearest-neighbor interpolation."""
        width, height = self.size
        new_w, new_h = max(round(width * ratio_w), 1), max(round(height * ratio_h), 1)
        return self._stretch((0, 0, width, height), new_w, new_h)

    def to_rle(self, height: int, width: int) -> Rle:
        """Encode on a canvas of ``height x width`` pixels."""
        return encode_rle(self.rasterize(height, width))

    def area(self, height: int, width: int) -> int:
        """Return the number of pixels on a canvas of ``height x width`` pixels."""
        left, top = self.corner
        return int(self.part[: max(height - top, 0), : max(width - left, 0)].sum())

    def rasterize(self, height: int, width: int) -> Bitmap:
        """Return the pixels, cropped or zero-padded to ``[height, width]``."""
        return self._sample(np.arange(width) + 0.5, np.arange(height) + 0.5).pixels

    def rasterize_in(self, box: Box, side: int) -> Bitmap:
        """Return the mask inside ``box``, resized to ``[side, side]``.

        A cell takes the pixel at its center, as polygon rasterization does.
        """
        return self._stretch(box, side, side).pixels

    def areas_in(self, box: Box, size: tuple[int, int]) -> tuple[int, int]:
        """Return the number of pixels in ``box``, those that ``crop`` cuts out, and of all."""
        del size
        inside = [
            slice(max(first, 0), max(first + int(float(box[axis + 2] - box[axis])), 0))
            for axis in (1, 0)
            for first in [int(np.floor(float(box[axis]) + 0.5)) - self.corner[axis]]
        ]
        ones = self.part.view(np.bool_)
        return int(np.count_nonzero(ones[tuple(inside)])), int(np.count_nonzero(ones))

    def visible_fraction(self, box: Box, size: tuple[int, int]) -> float:
        """Return the fraction of the mask pixels that lie in ``box``; NaN for an empty mask."""
        return share_of(*self.areas_in(box, size))
