"""From masks in the frame of a box to masks in the frame of the image."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from pycocotools import mask as coco_mask
from torch import Tensor
from yacs.config import CfgNode

from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.rle_masks import RleMasks


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


@dataclass(frozen=True)
class Masker:
    """Paste ``[N, 1, M, M]`` mask probabilities into images at the boxes.

    There are two rules. The original's (Mask R-CNN's reference post-processing) pads the mask by
    ``padding`` cells, expands its box alike, truncates it to whole pixels, both ends included, and
    resizes the mask bilinearly into it. The aligned one (detectron2's and mmdetection's) samples
    the mask bilinearly at the center of each pixel, the box as it is and zeros around it.

    Attributes:
        threshold: pixels above it (strictly; with ``aligned`` also those that equal it) belong to
            the mask; below 0 the result is the soft mask times 255, as uint8.
        padding: cells of zeros around the mask, against cut-off borders; the aligned rule needs
            none.
        aligned: take the aligned rule.
    """

    threshold: float = 0.5
    padding: int = 1
    aligned: bool = False

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
        width, height = boxes.size
        dtype = torch.bool if self.threshold >= 0 else torch.uint8
        pasted = torch.zeros(len(masks), 1, height, width, dtype=dtype)
        for canvas, region in zip(pasted, self.regions(masks, boxes), strict=True):
            rows, columns = region.pixels.shape
            bottom, right = region.top + rows, region.left + columns
            canvas[0, region.top : bottom, region.left : right] = region.pixels
        return pasted

    def rles(self, masks: Tensor, boxes: BoxList) -> RleMasks:
        """Paste masks ``[N, 1, M, M]`` at N boxes, without a mask of the size of the image.

        Raises:
            ValueError: ``threshold`` is negative, the masks are no probabilities (they were pasted
                before), or there is not one for each box.
        """
        if self.threshold < 0:
            raise ValueError(
                f"a mask threshold of {self.threshold} gives soft masks, which have no RLE: set "
                "MODEL.ROI_MASK_HEAD.POSTPROCESS_MASKS_THRESHOLD between 0 and 1"
            )
        if not masks.is_floating_point():
            raise ValueError(
                f"masks are to be probabilities, got {masks.dtype}: set "
                "MODEL.ROI_MASK_HEAD.POSTPROCESS_MASKS False, which pastes them in the model"
            )
        regions = self.regions(masks, boxes)
        return RleMasks(
            boxes.size, [region_to_rle(region, boxes.size)["counts"] for region in regions]
        )

    def regions(self, masks: Tensor, boxes: BoxList) -> Iterator[PastedRegion]:
        """Yield of each mask ``[N, 1, M, M]`` the part of the image that it is pasted into.

        Raises:
            ValueError: there is not one mask for each box, or the masks are pixels: the model has
                pasted them already.
        """
        if not masks.is_floating_point():
            raise ValueError(
                f"Masker: masks of dtype {masks.dtype} are pasted already; build the model with "
                "build_detection_model(cfg, paste_masks=False), or set "
                "MODEL.ROI_MASK_HEAD.POSTPROCESS_MASKS False"
            )
        if len(masks) != len(boxes):
            raise ValueError(f"Masker: {len(masks)} masks for {len(boxes)} boxes")
        if len(masks) == 0:
            return
        soft_masks = masks.detach().float().cpu()
        corners = boxes.xyxy().detach().float().cpu()
        if not self.aligned:
            soft_masks = F.pad(soft_masks, (self.padding,) * 4)
            corners = expand_boxes(corners, soft_masks.shape[-1] / masks.shape[-1])
        soft_region = _sampled_region if self.aligned else _resized_region
        for mask, box in zip(soft_masks, corners, strict=True):
            soft, top, left = soft_region(mask, box, boxes.size)
            yield PastedRegion(self._pixels(soft), top, left)

    def _pixels(self, soft: Tensor) -> Tensor:
        """Return what of a soft mask belongs to the mask, as bool; or the soft mask as uint8."""
        if self.threshold < 0:
            return (soft * 255).to(torch.uint8)
        return soft >= self.threshold if self.aligned else soft > self.threshold


def make_masker(cfg: CfgNode) -> Masker:
    """Build what pastes the masks of the configured model."""
    head = cfg.MODEL.ROI_MASK_HEAD
    return Masker(head.POSTPROCESS_MASKS_THRESHOLD, aligned=head.PASTE_ALIGNED)


def _resized_region(mask: Tensor, box: Tensor, image_size: tuple[int, int]) -> PastedRegion:
    """Resize ``mask [1, M, M]`` to the ``box`` of whole pixels and cut it at the image's border."""
    x1, y1, x2, y2 = box.trunc().long().tolist()
    size = (max(y2 - y1 + 1, 1), max(x2 - x1 + 1, 1))
    top, left = max(y1, 0), max(x1, 0)
    bottom, right = min(y1 + size[0], image_size[1]), min(x1 + size[1], image_size[0])
    if bottom <= top or right <= left:
        return _no_region(mask)
    soft = F.interpolate(mask[None], size=size, mode="bilinear", align_corners=False)[0, 0]
    return PastedRegion(soft[top - y1 : bottom - y1, left - x1 : right - x1], top, left)


def _sampled_region(mask: Tensor, box: Tensor, image_size: tuple[int, int]) -> PastedRegion:
    """Sample ``mask [1, M, M]``, which fills ``box``, at the pixel centers in and around it.

    Samples are not zero up to half a cell beyond the box. A box without area has no region.
    """
    corner, side = box[:2], box[2:] - box[:2]
    if not (side > 0).all():
        return _no_region(mask)
    reach = side / (2 * mask.shape[-1])
    left, top = (corner - reach).floor().clamp(min=0).long().tolist()
    limit = box.new_tensor(image_size)
    right, bottom = (box[2:] + reach).ceil().minimum(limit).long().tolist()
    if bottom <= top or right <= left:
        return _no_region(mask)
    x, y = (
        (torch.arange(first, last, dtype=torch.float32) + 0.5 - corner[axis]) / side[axis] * 2 - 1
        for axis, (first, last) in enumerate(((left, right), (top, bottom)))
    )
    grid = torch.stack([x.expand(len(y), -1), y[:, None].expand(-1, len(x))], dim=-1)
    soft = F.grid_sample(mask[None], grid[None], align_corners=False)[0, 0]
    return PastedRegion(soft, top, left)


def _no_region(mask: Tensor) -> PastedRegion:
    return PastedRegion(mask.new_zeros(0, 0), 0, 0)
