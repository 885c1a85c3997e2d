"""A batch of images of different sizes in one padded tensor."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class ImageList:
    """Images padded with zeros at the right and bottom.

    Attributes:
        tensors: the padded images ``[N, C, H, W]``.
        image_sizes: ``(height, width)`` of each image before padding.
    """

    tensors: Tensor
    image_sizes: list[tuple[int, int]]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> ImageList:
        """Move the images to ``device``."""
        return ImageList(self.tensors.to(device, non_blocking=non_blocking), self.image_sizes)

    def pin_memory(self) -> ImageList:
        """Copy the images to pinned memory, for non-blocking transfers with ``to``."""
        return ImageList(self.tensors.pin_memory(), self.image_sizes)


def padded_shape(shapes: Iterable[Sequence[int]], size_divisible: int = 0) -> tuple[int, int]:
    """Return the common ``(height, width)`` that images in a batch are padded to.

    Args:
        shapes: ``(height, width)`` of at least one image.
        size_divisible: if > 0, height and width are rounded up to multiples of it.
    """
    step = max(size_divisible, 1)
    height, width = (math.ceil(max(sides) / step) * step for sides in zip(*shapes, strict=True))
    return height, width


def to_image_list(
    tensors: ImageList | Tensor | Sequence[Tensor], size_divisible: int = 0
) -> ImageList:
    """Pad images to a common size and stack them.

    Args:
        tensors: an ``ImageList`` (returned as it is), a batch ``[N, C, H, W]``, an image
            ``[C, H, W]`` or a sequence of images.
        size_divisible: if > 0, height and width are padded to multiples of it; FPN needs 32.

    Raises:
        TypeError: ``tensors`` is of another type.
        ValueError: there is no image.
    """
    if isinstance(tensors, ImageList):
        return tensors
    if isinstance(tensors, Tensor):
        tensors = [tensors] if tensors.ndim == 3 else list(tensors)
    if not isinstance(tensors, Sequence) or not all(isinstance(t, Tensor) for t in tensors):
        raise TypeError(f"to_image_list: expected tensors [C, H, W], got {type(tensors).__name__}")
    if not tensors:
        raise ValueError("to_image_list: needs at least one image")
    height, width = padded_shape((t.shape[1:] for t in tensors), size_divisible)
    batch = tensors[0].new_empty(len(tensors), tensors[0].shape[0], height, width)
    for padded, image in zip(batch, tensors, strict=True):
        bottom, right = image.shape[1:]
        padded[:, :bottom, :right].copy_(image)
        padded[:, bottom:].zero_()
        padded[:, :bottom, right:].zero_()
    return ImageList(batch, [(t.shape[1], t.shape[2]) for t in tensors])
