"""Large-scale jitter (Ghiasi et al., CVPR 2021, arXiv 2012.07177, section 3)."""

import random

import torch
from PIL import Image
from torchvision.transforms import functional as F

from maskrcnn_benchmark.data.transforms.transforms import Sample
from maskrcnn_benchmark.structures import fields
from maskrcnn_benchmark.structures.bounding_box import BoxList


class LargeScaleJitter:
    """Resize a PIL image by a random scale, then crop or pad it to a square.

    At scale 1 the image just fits into the square with its aspect ratio kept. A larger image is
    cropped at a random position; a smaller one is placed in the upper left corner and padded.
    Objects of which nothing is left are dropped.

    Args:
        size: side of the square in pixels.
        scales: smallest and largest scale.
        fill: color of the padding, RGB from 0 to 255; usually the pixel mean, which becomes 0
            in the normalized image.
    """

    def __init__(
        self,
        size: int,
        scales: tuple[float, float] = (0.1, 2.0),
        *,
        fill: tuple[int, int, int] = (0, 0, 0),
    ) -> None:
        self.size = size
        self.scales = scales
        self.fill = fill

    def __call__(
        self,
        image: Image.Image,
        target: BoxList | None = None,
        rng: random.Random | None = None,
    ) -> Sample:
        """Resize, crop and pad image and target."""
        draw = rng or random
        ratio = draw.uniform(*self.scales) * self.size / max(image.size)
        width, height = (max(round(side * ratio), 1) for side in image.size)
        left, top = (draw.randint(0, max(side - self.size, 0)) for side in (width, height))
        resized = F.resize(image, [height, width])
        canvas = Image.new("RGB", (self.size, self.size), self.fill)
        canvas.paste(resized, (-left, -top))
        if target is None:
            return canvas, None
        target = target.resize((width, height))
        target = target.crop((left, top, left + self.size, top + self.size)).clip_to_image()
        return canvas, _without_empty_masks(target)


def _without_empty_masks(target: BoxList) -> BoxList:
    """Drop the instances whose box is still inside but whose mask has no pixel left.

    Instances without a mask are judged by their box alone.
    """
    if not target.has_field(fields.MASKS):
        return target
    masks = target.get_field(fields.MASKS)
    seen = torch.from_numpy(masks.areas() > 0) | ~masks.present()
    return target if seen.all() else target[seen]
