"""Ground truth of the mask heads: polygons inside boxes, as a grid and as areas in pixels."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskrcnn_benchmark.layers import _mask_fallback, _ops
from maskrcnn_benchmark.layers._checks import (
    check_device,
    check_floating,
    check_integer,
    check_shape,
)


class PolygonSet(NamedTuple):
    """Polygons of G instances in three tensors on the CPU.

    Attributes:
        coordinates: float32 ``[C]``: ``x0, y0, x1, y1, ...`` of all polygons.
        polygon_starts: int64 ``[P + 1]``: where each polygon begins in ``coordinates``, and C.
        instance_starts: int64 ``[G + 1]``: where each instance begins among the polygons, and P.
    """

    coordinates: Tensor
    polygon_starts: Tensor
    instance_starts: Tensor

    @classmethod
    def gather(cls, instances: Sequence[Sequence[NDArray[np.float32]]]) -> "PolygonSet":
        """Join the flat polygons of each instance."""
        polygons = [polygon for instance in instances for polygon in instance]
        coordinates = np.concatenate(polygons) if polygons else np.zeros(0, dtype=np.float32)
        lengths = np.cumsum([0, *map(len, polygons)], dtype=np.int64)
        counts = np.cumsum([0, *map(len, instances)], dtype=np.int64)
        return cls(*(torch.from_numpy(array) for array in (coordinates, lengths, counts)))


def mask_targets(
    polygons: PolygonSet,
    boxes: Tensor,
    matched: Tensor,
    side: int,
    image_size: tuple[int, int],
) -> tuple[Tensor, Tensor]:
    """Rasterize an instance inside each box, and measure how much of it the box holds.

    Pixels are those of COCO's API. The box's size is floored at 1 pixel for the masks and has no
    +1, a legacy that trained weights depend on. Areas are summed over the polygons of an instance,
    not over their union, on canvases that are truncated to whole pixels, as the original does: the
    area inside may pass the whole slightly.

    Args:
        polygons: of G instances.
        boxes: ``[R, 4]`` in pixels, floating, on the CPU. A box with a coordinate that is infinite,
            NaN or beyond 2^24 has an empty mask and no areas.
        matched: int64 ``[R]``: the instance of each box.
        side: of the masks, in cells.
        image_size: ``(width, height)``.

    Returns:
        The masks, uint8 ``[R, side, side]`` of 0 and 1, and int64 ``[R, 2]``: the area inside the
        box and that of the whole instance, in pixels.

    Raises:
        ValueError: shapes or dtypes do not fit.
        RuntimeError: a box names an instance that is not there, or starts do not rise.
    """
    check_shape("mask_targets", "boxes", boxes, ("R", 4))
    check_floating("mask_targets", "boxes", boxes)
    check_shape("mask_targets", "matched", matched, (boxes.shape[0],))
    check_integer("mask_targets", "matched", matched)
    check_device("mask_targets", "matched", matched, boxes)
    width, height = image_size
    operator = (
        torch.ops.maskrcnn_benchmark.mask_targets
        if _ops.serves(boxes)
        else _mask_fallback.mask_targets
    )
    return operator(*polygons, boxes, matched, side, height, width)
