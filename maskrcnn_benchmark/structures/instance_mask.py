"""The mask of one instance: polygons, a bitmap, or none that is known.

All kinds answer the same questions: flip, crop, resize, rasterize, and the area inside a box.
Coordinates are continuous pixels with pixel ``i`` covering ``[i, i + 1)``, as in COCO.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskrcnn_benchmark.layers import PolygonSet, mask_targets
from maskrcnn_benchmark.structures.binary_mask import BinaryMask, Bitmap, Box, share_of
from maskrcnn_benchmark.structures.bounding_box import FLIP_LEFT_RIGHT
from maskrcnn_benchmark.structures.rle import (
    Rle,
    decode_rle,
    encode_rle,
    polygon_rles,
    rle_areas,
    to_rle,
)


@dataclass(frozen=True)
class Polygons:
    """A mask that is the union of polygons: float32 arrays ``x0, y0, x1, y1, ...``."""

    polygons: list[NDArray[np.float32]]

    def transpose(self, method: int, size: tuple[float, float], pixel_offset: float) -> Polygons:
        """Flip in an image of ``size = (width, height)``, as boxes of the convention flip."""
        axis = 0 if method == FLIP_LEFT_RIGHT else 1
        flipped = [p.copy() for p in self.polygons]
        for polygon in flipped:
            polygon[axis::2] = np.float32(size[axis]) - polygon[axis::2] - np.float32(pixel_offset)
        return Polygons(flipped)

    def crop(self, box: Box) -> Polygons:
        """Move the origin to the corner of ``box``; vertices outside of it stay."""
        corner = np.array([box[0], box[1]], dtype=np.float32)
        return Polygons([p - np.tile(corner, len(p) // 2) for p in self.polygons])

    def scale(self, ratio_w: float, ratio_h: float) -> Polygons:
        """Multiply the coordinates."""
        ratios = np.array([ratio_w, ratio_h], dtype=np.float32)
        return Polygons([p * np.tile(ratios, len(p) // 2) for p in self.polygons])

    def _rles(self, height: int, width: int) -> list[Rle]:
        return polygon_rles([p.tolist() for p in self.polygons], height, width)

    def to_rle(self, height: int, width: int) -> Rle:
        """Rasterize the union on a canvas of whole pixels by COCO's rule."""
        return to_rle([p.tolist() for p in self.polygons], height, width)

    def area(self, height: int, width: int) -> int:
        """Return the number of pixels on a canvas of ``height x width`` pixels."""
        return int(rle_areas([self.to_rle(height, width)])[0])

    def rasterize(self, height: int, width: int) -> Bitmap:
        """Return ``[height, width]`` of 0 and 1: the union of the polygons."""
        return decode_rle(self.to_rle(height, width))

    def rasterize_in(self, box: Box, side: int) -> Bitmap:
        """Return ``[side, side]``: the part in ``box``, stretched to a square (`mask_targets`)."""
        masks, _ = self._targets(box, side, (1, 1))
        return masks[0].numpy()

    def areas_in(self, box: Box, size: tuple[int, int]) -> tuple[int, int]:
        """Return the area inside ``box`` and the whole, in pixels, by the rule of `mask_targets`.

        Args:
            box: ``x1, y1, x2, y2``.
            size: ``(width, height)`` of the image.
        """
        _, areas = self._targets(box, 1, size)
        inside, whole = areas[0].tolist()
        return inside, whole

    def _targets(self, box: Box, side: int, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        boxes = torch.tensor([[float(value) for value in box]])
        polygons = PolygonSet.gather([self.polygons])
        return mask_targets(polygons, boxes, torch.zeros(1, dtype=torch.int64), side, size)

    def visible_fraction(self, box: Box, size: tuple[int, int]) -> float:
        """Return the share of the instance's pixels that lies in ``box``, see `areas_in`.

        It may pass 1 slightly, as in the original. NaN without any area.
        """
        return share_of(*self.areas_in(box, size))


@dataclass(frozen=True)
class NoMask:
    """The mask of an instance of which only the box is annotated: it has no pixels anywhere."""

    def transpose(self, method: int, size: tuple[float, float], pixel_offset: float) -> NoMask:
        """Return itself."""
        del method, size, pixel_offset
        return self

    def crop(self, box: Box) -> NoMask:
        """Return itself."""
        del box
        return self

    def scale(self, ratio_w: float, ratio_h: float) -> NoMask:
        """Return itself."""
        del ratio_w, ratio_h
        return self

    def to_rle(self, height: int, width: int) -> Rle:
        """Encode an empty canvas of ``height x width`` pixels."""
        return encode_rle(self.rasterize(height, width))

    def area(self, height: int, width: int) -> int:
        """Return 0."""
        del height, width
        return 0

    def rasterize(self, height: int, width: int) -> Bitmap:
        """Return zeros ``[height, width]``."""
        return np.zeros((height, width), dtype=np.uint8)

    def rasterize_in(self, box: Box, side: int) -> Bitmap:
        """Return zeros ``[side, side]``."""
        del box
        return self.rasterize(side, side)

    def areas_in(self, box: Box, size: tuple[int, int]) -> tuple[int, int]:
        """Return 0 and 0."""
        del box, size
        return 0, 0

    def visible_fraction(self, box: Box, size: tuple[int, int]) -> float:
        """Return NaN: there is no area to have a share of."""
        del box, size
        return float("nan")


InstanceMask = Polygons | BinaryMask | NoMask


def make_instance_mask(annotation: Any, size: tuple[int, int]) -> InstanceMask:
    """Read one instance's mask in any form that COCO knows.

    Args:
        annotation: a list of polygons (flat ``x0, y0, x1, y1, ...``), a COCO RLE dict with
            compressed or plain counts, a 0/1 array ``[height, width]``, a mask made before, or
            None where only the box of the instance is known.
        size: ``(width, height)`` of the image.

    Raises:
        ValueError: no usable polygon, or RLE or array of another size than the image.
    """
    if annotation is None:
        return NoMask()
    if isinstance(annotation, Polygons | BinaryMask | NoMask):
        return annotation
    if isinstance(annotation, dict):
        pixels = decode_rle(annotation)
    elif isinstance(annotation, np.ndarray) and annotation.ndim == 2:
        pixels = (annotation != 0).astype(np.uint8)
    else:
        return _read_polygons(annotation)
    if pixels.shape != (size[1], size[0]):
        raise ValueError(
            f"mask of {pixels.shape[1]} x {pixels.shape[0]} in an image of {size[0]} x {size[1]}"
        )
    return BinaryMask(pixels)


def _read_polygons(annotation: Any) -> Polygons:
    polygons = [np.asarray(p, dtype=np.float32).reshape(-1) for p in annotation]
    usable = [p for p in polygons if len(p) >= 6 and len(p) % 2 == 0 and np.isfinite(p).all()]
    if not usable:
        lengths = [len(p) for p in polygons]
        raise ValueError(
            f"no polygon with 3 finite vertices or more: {len(polygons)} polygons with "
            f"{lengths} coordinates"
        )
    return Polygons(usable)
