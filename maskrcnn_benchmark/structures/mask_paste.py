"""From masks in the frame of a box to masks in the frame of the image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from maskrcnn_benchmark.structures.bounding_box import BoxList


def expand_boxes(boxes: Tensor, scale: float) -> Tensor:
    """Scale boxes ``[N, 4]`` about their centres, without the +1 of inclusive sizes."""
    centre = (boxes[:, :2] + boxes[:, 2:]) * 0.5
    half = (boxes[:, 2:] - boxes[:, :2]) * 0.5 * scale
    return torch.cat([centre - half, centre + half], dim=1)


class Masker:
    """Paste ``[N, 1, M, M]`` mask probabilities into images at the boxes.

    The mask is padded by ``padding`` cells, its box expanded alike and truncated to whole pixels,
    and the mask resized bilinearly into it (Mask R-CNN's reference post-processing).

    Args:
        threshold: pixels above it (strictly) belong to the mask; below 0 the result is the soft
            mask times 255, as uint8.
        padding: cells of zeros around the mask, against cut-off borders.
    """

    def __init__(self, threshold: float = 0.5, padding: int = 1) -> None:
        self.threshold = threshold
        self.padding = padding

    def __call__(self, masks: Sequence[Tensor], boxes: Sequence[BoxList]) -> list[Tensor]:
        """Paste the masks of several images: ``[N, 1, H, W]`` each, on the CPU.

        Raises:
            ValueError: the numbers of images, or of masks and boxes in one, differ.
        """
        if len(masks) != len(boxes):
            raise ValueError(f"Masker: masks of {len(masks)} images, boxes of {len(boxes)}")
        return [self.forward_single_image(m, b) for m, b in zip(masks, boxes, strict=True)]

    def forward_single_image(self, masks: Tensor, boxes: BoxList) -> Tensor:
        """Paste masks ``[N, 1, M, M]`` at N boxes: bool (or uint8) ``[N, 1, H, W]``."""
        if len(masks) != len(boxes):
            raise ValueError(f"Masker: {len(masks)} masks for {len(boxes)} boxes")
        width, height = boxes.size
        dtype = torch.bool if self.threshold >= 0 else torch.uint8
        pasted = torch.zeros(len(masks), 1, height, width, dtype=dtype)
        if len(masks) == 0:
            return pasted
        padded = F.pad(masks.detach().float().cpu(), (self.padding,) * 4)
        scale = padded.shape[-1] / masks.shape[-1]
        corners = expand_boxes(boxes.xyxy().detach().float().cpu(), scale)
        for canvas, mask, box in zip(pasted, padded, corners.trunc().long().tolist(), strict=True):
            self._paste(canvas[0], mask, box)
        return pasted

    def _paste(self, canvas: Tensor, mask: Tensor, box: list[int]) -> None:
        """Write ``mask [1, M, M]`` into ``canvas [H, W]`` at the whole-pixel ``box``."""
        x1, y1, x2, y2 = box
        size = (max(y2 - y1 + 1, 1), max(x2 - x1 + 1, 1))
        top, left = max(y1, 0), max(x1, 0)
        bottom, right = min(y1 + size[0], canvas.shape[0]), min(x1 + size[1], canvas.shape[1])
        if bottom <= top or right <= left:
            return
        soft = F.interpolate(mask[None], size=size, mode="bilinear", align_corners=False)[0, 0]
        binary = soft > self.threshold if self.threshold >= 0 else (soft * 255).to(torch.uint8)
        canvas[top:bottom, left:right] = binary[top - y1 : bottom - y1, left - x1 : right - x1]
