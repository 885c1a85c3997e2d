"""Random jitter of brightness, contrast, saturation and hue."""

import random
from collections.abc import Sequence

from PIL import Image
from torchvision.transforms import functional as F

from maskrcnn_benchmark.data.transforms.transforms import Sample
from maskrcnn_benchmark.structures.bounding_box import BoxList

_ADJUST = {
    "brightness": F.adjust_brightness,
    "contrast": F.adjust_contrast,
    "saturation": F.adjust_saturation,
    "hue": F.adjust_hue,
}


def adjust_colors(image: Image.Image, steps: Sequence[tuple[str, float]]) -> Image.Image:
    """Apply torchvision's color adjustments to a PIL image in the given order.

    Args:
        image: an RGB image.
        steps: pairs of ``brightness``, ``contrast``, ``saturation`` or ``hue`` and a factor. The
            factor 1 changes nothing; for the hue, 0.
    """
    for name, factor in steps:
        image = _ADJUST[name](image, factor)
    return image


class ColorJitter:
    """Change the colors of a PIL image at random, as ``torchvision.transforms.ColorJitter`` does.

    Factors are uniform in ``[1 - value, 1 + value]``, for the hue in ``[-value, value]``, and are
    applied in random order. A value of 0 switches an adjustment off.

    Args:
        brightness: at least 0.
        contrast: at least 0.
        saturation: at least 0.
        hue: 0 to 0.5, as a fraction of the color circle.
    """

    def __init__(
        self,
        *,
        brightness: float = 0.0,
        contrast: float = 0.0,
        saturation: float = 0.0,
        hue: float = 0.0,
    ) -> None:
        around_one = {"brightness": brightness, "contrast": contrast, "saturation": saturation}
        self.ranges = {n: (max(0.0, 1 - v), 1 + v) for n, v in around_one.items() if v}
        if hue:
            self.ranges["hue"] = (-hue, hue)

    def __call__(
        self,
        image: Image.Image,
        target: BoxList | None = None,
        rng: random.Random | None = None,
    ) -> Sample:
        """Jitter the image; the target is returned unchanged."""
        draw = rng or random
        steps = [(name, draw.uniform(*limits)) for name, limits in self.ranges.items()]
        draw.shuffle(steps)
        return adjust_colors(image, steps), target
