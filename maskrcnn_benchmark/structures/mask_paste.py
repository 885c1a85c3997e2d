"""From masks in the frame of a box to masks in the frame of the image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from pycocotools import mask as coco_mask
from torch import Tensor

from maskrcnn_benchmark.structures.bounding_box import BoxList


def expand_boxes(boxes: Tensor, scale: float) -> Tensor:
    """Scale boxes ``[N, 4]`` about their centres, without the +1 of inclusive sizes."""
    centre = (boxes[:, :2] + boxes[:, 2:]) * 0.5
    half = (boxes[:, 2:] - boxes[:, :2]) * 0.5 * scale
    return torch.cat([centre - half, centre + half], dim=1)


class PastedRegion(NamedTuple):
    """Pixels ``[h, w]`` of a mask in an image, from row ``top`` and column ``left`` on."""

    pixels: Tensor
    top: int
    left: int


def region_to_rle(region: PastedRegion, image_size: tuple[int, int]) -> dict[str, Any]:
    """Return a mask as compressed COCO RLE (``counts`` as str), from its part that is not empty.

    It takes time by the size of the part, not of the image.

    Args:
        region: a bool mask within the image.
        image_size: ``(width, height)``.
    """
    width, height = image_size
    columns = region.pixels.numpy().astype(np.int8).T  # COCO counts down the columns
    changes = np.diff(np.pad(columns, ((0, 0), (1, 1))), axis=1)
    column, row = np.nonzero(changes)  # where a run begins, and where it has ended, in turn
    places = (column + region.left) * height + row + region.top
    # a run that ends at the bottom goes on where the next one begins at the top
    meets = np.flatnonzero(places[1:-1:2] == places[2::2]) * 2 + 1
    places = np.delete(places, np.concatenate([meets, meets + 1]))
    counts = np.diff(places, prepend=0, append=height * width).tolist()
    counts = counts[:-1] if counts[-1] == 0 else counts
    rle = coco_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)
    return {"size": [height, width], "counts": rle["counts"].decode("ascii")}


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
        for canvas, region in zip(pasted, self.regions(masks, boxes), strict=True):
            rows, columns = region.pixels.shape
            bottom, right = region.top + rows, region.left + columns
            canvas[0, region.top : bottom, region.left : right] = region.pixels
        return pasted

    def regions(self, masks: Tensor, boxes: BoxList) -> Iterator[PastedRegion]:
        """Yield of each mask ``[N, 1, M, M]`` the part of the image that it is pasted into.

        Raises:
            ValueError: they are pixels, not probabilities: the model has pasted them already.
        """
        if not masks.is_floating_point():
            raise ValueError(
                f"Masker: masks of dtype {masks.dtype} are pasted already; build the model with "
                "build_detection_model(cfg, paste_masks=False), or set "
                "MODEL.ROI_MASK_HEAD.POSTPROCESS_MASKS False"
            )
        if len(masks) == 0:
            return
        padded = F.pad(masks.detach().float().cpu(), (self.padding,) * 4)
        scale = padded.shape[-1] / masks.shape[-1]
        corners = expand_boxes(boxes.xyxy().detach().float().cpu(), scale)
        for mask, box in zip(padded, corners.trunc().long().tolist(), strict=True):
            yield self._region(mask, box, boxes.size)

    def _region(self, mask: Tensor, box: list[int], image_size: tuple[int, int]) -> PastedRegion:
        """Resize ``mask [1, M, M]`` to the whole-pixel ``box`` and cut it at the image's border."""
        x1, y1, x2, y2 = box
        size = (max(y2 - y1 + 1, 1), max(x2 - x1 + 1, 1))
        top, left = max(y1, 0), max(x1, 0)
        bottom, right = min(y1 + size[0], image_size[1]), min(x1 + size[1], image_size[0])
        if bottom <= top or right <= left:
            return PastedRegion(mask.new_zeros(0, 0).bool(), 0, 0)
        soft = F.interpolate(mask[None], size=size, mode="bilinear", align_corners=False)[0, 0]
        binary = soft > self.threshold if self.threshold >= 0 else (soft * 255).to(torch.uint8)
        return PastedRegion(binary[top - y1 : bottom - y1, left - x1 : right - x1], top, left)
