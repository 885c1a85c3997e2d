"""Transforms of images and their targets.

Each takes an image, its target and a random generator, and returns image and target. The target may
be None. Without a generator, Python's global ``random`` is used.
"""

import random
from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import functional as F

from maskrcnn_benchmark.structures.bounding_box import (
    FLIP_LEFT_RIGHT,
    FLIP_TOP_BOTTOM,
    BoxList,
)

Sample = tuple[Any, BoxList | None]


class Transform(Protocol):
    """Interface of a transform."""

    def __call__(
        self, image: Any, target: BoxList | None = None, rng: random.Random | None = None
    ) -> Sample:
        """Return the transformed image and target."""


class Compose:
    """Apply several transforms in sequence."""

    def __init__(self, transforms: Sequence[Transform]) -> None:
        self.transforms = list(transforms)

    def __call__(
        self, image: Any, target: BoxList | None = None, rng: random.Random | None = None
    ) -> Sample:
        """Apply all transforms."""
        for transform in self.transforms:
            image, target = transform(image, target, rng)
        return image, target


SizeRounding = Literal["down", "nearest"]


def resized_size(
    size: tuple[int, int],
    min_size: int,
    max_size: int | None = None,
    rounding: SizeRounding = "down",
) -> tuple[int, int]:
    """Return the ``(height, width)`` that an image is resized to.

    The short side becomes ``min_size``, or less if the long side would exceed ``max_size`` (up to
    rounding).

    Args:
        size: ``(width, height)`` of the image.
        min_size: target length of the short side.
        max_size: maximum length of the long side; None for no limit.
        rounding: ``"down"``: half to even for the short side, down for the long one, as in the
            original; ``"nearest"``: half up for both, as in detectron2 and mmdetection.

    Raises:
        ValueError: ``rounding`` has another value.
    """
    if rounding == "nearest":
        return _nearest_size(size, min_size, max_size)
    if rounding != "down":
        raise ValueError(f"rounding is {rounding!r}; it must be 'down' or 'nearest'")
    width, height = size
    short, long = min(size), max(size)
    if max_size is not None and long / short * min_size > max_size:
        min_size = int(round(max_size * short / long))
        if min_size == 0:  # an image one pixel wide; the original made it empty
            return (max_size, 1) if width < height else (1, max_size)
    if short == min_size:
        return height, width
    if width < height:
        return int(min_size * height / width), min_size
    return min_size, int(min_size * width / height)


def _nearest_size(size: tuple[int, int], min_size: int, max_size: int | None) -> tuple[int, int]:
    """Scale both sides by one factor and round half up; each is at least 1."""
    scale = min_size / min(size)
    if max_size is not None:
        scale = min(scale, max_size / max(size))
    width, height = (max(int(side * scale + 0.5), 1) for side in size)
    return height, width


class Resize:
    """Resize a PIL image by the rule of ``resized_size``, bilinear with antialiasing.

    Args:
        min_size: short side in pixels, or several from which one is drawn per image.
        max_size: maximum of the long side; None for no limit.
        rounding: see ``resized_size``.
    """

    def __init__(
        self,
        min_size: int | Sequence[int],
        max_size: int | None,
        rounding: SizeRounding = "down",
    ) -> None:
        self.min_sizes = [min_size] if isinstance(min_size, int) else list(min_size)
        self.max_size = max_size
        self.rounding = rounding

    def output_size(
        self, size: tuple[int, int], rng: random.Random | None = None
    ) -> tuple[int, int]:
        """Return the ``(height, width)`` that an image of ``(width, height)`` is resized to.

        If there are several sizes, one is drawn at random.
        """
        min_size = self.min_sizes[0]
        if len(self.min_sizes) > 1:
            min_size = (rng or random).choice(self.min_sizes)
        return resized_size(size, min_size, self.max_size, self.rounding)

    def __call__(
        self,
        image: Image.Image,
        target: BoxList | None = None,
        rng: random.Random | None = None,
    ) -> Sample:
        """Resize image and target."""
        image = F.resize(image, list(self.output_size(image.size, rng)))
        return image, None if target is None else target.resize(image.size)


class _RandomFlip:
    """Flip a PIL image along one axis with probability ``prob``."""

    method: int

    def __init__(self, prob: float = 0.5) -> None:
        self.prob = prob

    def __call__(
        self,
        image: Image.Image,
        target: BoxList | None = None,
        rng: random.Random | None = None,
    ) -> Sample:
        """Flip image and target, or neither."""
        if (rng or random).random() < self.prob:
            image = F.hflip(image) if self.method == FLIP_LEFT_RIGHT else F.vflip(image)
            target = None if target is None else target.transpose(self.method)
        return image, target


class RandomHorizontalFlip(_RandomFlip):
    """Flip a PIL image left to right with probability ``prob``."""

    method = FLIP_LEFT_RIGHT


class RandomVerticalFlip(_RandomFlip):
    """Flip a PIL image top to bottom with probability ``prob``."""

    method = FLIP_TOP_BOTTOM


class ToTensor:
    """Convert an RGB PIL image to a float tensor ``[3, H, W]``, RGB in [0, 1]."""

    def __call__(
        self,
        image: Image.Image,
        target: BoxList | None = None,
        rng: random.Random | None = None,
    ) -> Sample:
        """Convert the image."""
        del rng
        pixels = np.asarray(image).transpose(2, 0, 1)
        scaled = np.empty(pixels.shape, dtype=np.float32)
        # one pass over the memory; F.to_tensor, whose values these are, needs three
        np.divide(pixels, np.float32(255), out=scaled)
        return torch.from_numpy(scaled), target


class Normalize:
    """Subtract the mean from a tensor ``[3, H, W]`` and divide by the standard deviation.

    Args:
        mean: mean of each channel, in the channel order of the result.
        std: standard deviation of each channel.
        to_bgr255: whether to convert RGB in [0, 1] to BGR in [0, 255] first.
    """

    def __init__(
        self, mean: Sequence[float], std: Sequence[float], *, to_bgr255: bool = True
    ) -> None:
        self.mean = list(mean)
        self.std = list(std)
        if 0 in self.std:
            raise ValueError(f"std {self.std} has a 0: the image would be divided by it")
        self.to_bgr255 = to_bgr255

    def __call__(
        self, image: Tensor, target: BoxList | None = None, rng: random.Random | None = None
    ) -> Sample:
        """Normalize the image."""
        del rng
        # in place on a copy: new memory costs more than the arithmetic
        image = image[[2, 1, 0]].mul_(255) if self.to_bgr255 else image.clone()
        image.sub_(image.new_tensor(self.mean)[:, None, None])
        if set(self.std) != {1}:
            image.div_(image.new_tensor(self.std)[:, None, None])
        return image, target
