"""Several views of each image, such as flipped and scaled ones, for test-time augmentation."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from maskrcnn_benchmark.structures.bounding_box import FLIP_LEFT_RIGHT, BoxList
from maskrcnn_benchmark.structures.image_list import ImageList, padded_shape, to_image_list


@dataclass(frozen=True)
class ImageViews:
    """The views of one image.

    Attributes:
        tensors: the images ``[3, H_v, W_v]``; detections are returned in the frame of the first,
            which is not flipped.
        flipped: whether each view is flipped left to right.
    """

    tensors: list[Tensor]
    flipped: tuple[bool, ...]


@dataclass(frozen=True)
class BatchedViews:
    """The views of N images.

    Attributes:
        views: one batch of N images for each view.
        flipped: whether each view is flipped left to right.
    """

    views: list[ImageList]
    flipped: tuple[bool, ...]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> BatchedViews:
        """Move the images to ``device``."""
        return BatchedViews([v.to(device, non_blocking) for v in self.views], self.flipped)

    def pin_memory(self) -> BatchedViews:
        """Copy the images to pinned memory, for non-blocking transfers with ``to``."""
        return BatchedViews([view.pin_memory() for view in self.views], self.flipped)


def padded_shapes(image: Tensor | ImageViews, size_divisible: int) -> Hashable:
    """Return what images must share to form a batch that pads none of them further.

    Args:
        image: an image ``[3, H, W]`` or its views.
        size_divisible: see ``padded_shape``.
    """
    tensors = image.tensors if isinstance(image, ImageViews) else [image]
    return tuple(padded_shape([tensor.shape[1:]], size_divisible) for tensor in tensors)


def to_batch(
    images: Sequence[Tensor | ImageViews], size_divisible: int = 0
) -> ImageList | BatchedViews:
    """Pad N images, or each view of N images, to a common size and stack them.

    Args:
        images: images ``[3, H, W]``, or the same kinds of views of each image.
        size_divisible: see ``to_image_list``.
    """
    tensors = [image for image in images if isinstance(image, Tensor)]
    views = [image for image in images if isinstance(image, ImageViews)]
    if not views:
        return to_image_list(tensors, size_divisible)
    by_view = zip(*(image.tensors for image in views), strict=True)
    return BatchedViews([to_image_list(v, size_divisible) for v in by_view], views[0].flipped)


def to_first_view(boxes: BoxList, flipped: bool, size: tuple[int, int]) -> BoxList:
    """Map the boxes of a view to the first view of ``(width, height)``."""
    return (boxes.transpose(FLIP_LEFT_RIGHT) if flipped else boxes).resize(size)


def from_first_view(boxes: BoxList, flipped: bool, size: tuple[int, int]) -> BoxList:
    """Map boxes of the first view to a view of ``(width, height)``."""
    resized = boxes.resize(size)
    return resized.transpose(FLIP_LEFT_RIGHT) if flipped else resized
