"""Ground truth of the mask heads, from instances of any kind."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from maskrcnn_benchmark.layers import PolygonSet, mask_targets
from maskrcnn_benchmark.structures.instance_mask import InstanceMask, Polygons

_MAX_COORDINATE = 1 << 24  # as in mask_targets


def instance_targets(
    instances: Sequence[InstanceMask],
    boxes: Tensor,
    matched: Tensor,
    side: int,
    image_size: tuple[int, int],
) -> tuple[Tensor, Tensor]:
    """Rasterize an instance inside each box, and measure how much of it the box holds.

    It takes time by the boxes, not by the instances.

    Args:
        instances: of the image.
        boxes: float ``[R, 4]`` on the CPU. A box with a coordinate that is infinite, NaN or beyond
            2^24 has an empty mask and no area.
        matched: int64 ``[R]`` on the CPU: the instance of each box.
        side: of the masks, in cells.
        image_size: ``(width, height)``.

    Returns:
        The masks, uint8 ``[R, side, side]`` of 0 and 1, and float ``[R]``: the share of the
        instance's area that lies inside the box, NaN for an instance without area.
    """
    chosen, rows = np.unique(matched.numpy(), return_inverse=True)
    own, index = [instances[number] for number in chosen], torch.from_numpy(rows)
    # the other kinds stand among the polygons as instances of none
    polygons = [one.polygons if isinstance(one, Polygons) else [] for one in own]
    masks, areas = mask_targets(PolygonSet.gather(polygons), boxes, index, side, image_size)
    if not all(polygons):
        usable = (boxes.abs() <= _MAX_COORDINATE).all(dim=1).tolist()
        for row, (number, box) in enumerate(zip(index.tolist(), boxes.numpy(), strict=True)):
            instance = own[number]
            if usable[row] and not isinstance(instance, Polygons):
                masks[row] = torch.from_numpy(instance.rasterize_in(box, side))
                areas[row] = torch.tensor(instance.areas_in(box, image_size))
    inside, whole = areas.double().unbind(dim=1)
    return masks, (inside / whole).where(whole > 0, torch.nan).float()
