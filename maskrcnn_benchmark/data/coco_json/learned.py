"""Which instances are learned; evaluation ignores the others as well."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor

from maskrcnn_benchmark.structures.bounding_box import BoxList


class LeftOut(IntEnum):
    """Reason why an instance is not learned; 0 if it is."""

    LEARNED = 0
    CROWD = 1
    WITHOUT_AREA = 2
    OUTSIDE = 3
    BELOW_A_PIXEL = 4

    @property
    def text(self) -> str:
        """The reason in words."""
        return _TEXTS[self]


_TEXTS = {
    LeftOut.LEARNED: "learned",
    LeftOut.CROWD: "crowd",
    LeftOut.WITHOUT_AREA: "box without area",
    LeftOut.OUTSIDE: "box outside its image",
    LeftOut.BELOW_A_PIXEL: "box of a pixel or less inside its image",
}


def find_left_out(boxes: Tensor, sizes: Tensor, crowd: Tensor, pixel_offset: float) -> Tensor:
    """Return the ``LeftOut`` of each instance, uint8 ``[N]``.

    Args:
        boxes: float ``[N, 4]``, ``x, y, width, height`` in pixels.
        sizes: ``[N, 2]``, width and height of the image of each.
        crowd: bool ``[N]``.
        pixel_offset: box convention of the model (``box_ops``); an inclusive box of one pixel has
            no extent.
    """
    # in float32 and through BoxList, so that rounding decides exactly as it does for the target
    corners = BoxList(boxes.float(), (1, 1), "xywh", pixel_offset=pixel_offset).xyxy()
    clipped = corners.clamp(min=0).minimum((sizes.float() - pixel_offset).repeat(1, 2))
    found = torch.zeros(len(boxes), dtype=torch.uint8)
    found[(clipped[:, 2:] <= clipped[:, :2]).any(dim=1)] = LeftOut.BELOW_A_PIXEL
    outside = (boxes[:, :2] >= sizes) | (boxes[:, :2] + boxes[:, 2:] <= 0)
    found[outside.any(dim=1)] = LeftOut.OUTSIDE
    found[(boxes[:, 2:] <= 0).any(dim=1)] = LeftOut.WITHOUT_AREA
    found[crowd] = LeftOut.CROWD
    return found


@dataclass(frozen=True)
class Learned:
    """How many instances of a data set are learned.

    Attributes:
        total: number of annotations.
        left_out: number of instances that are not learned, by reason.
        without_mask: number of learned instances without a mask, of which only the box is learned.
    """

    total: int
    left_out: Mapping[str, int]
    without_mask: int = 0

    @property
    def count(self) -> int:
        """The number of instances that are learned."""
        return self.total - sum(self.left_out.values())

    def __str__(self) -> str:
        text = f"{self.count} of {self.total} instances are learned"
        if self.left_out:
            reasons = ", ".join(f"{number} ({why})" for why, number in self.left_out.items())
            text += f"; left out: {reasons}"
        if 0 < self.without_mask < self.count:
            text += f"; {self.without_mask} have no mask, their boxes alone are learned"
        elif self.without_mask:
            text += "; none has a mask"
        return text
