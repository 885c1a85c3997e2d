"""Views of a test image: unchanged, flipped, at several scales (``TEST.BBOX_AUG``)."""

import random
from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image
from torchvision.transforms import functional as F
from yacs.config import CfgNode

from maskrcnn_benchmark.data.transforms.transforms import Resize, Sample, Transform
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.image_views import ImageViews


class View(NamedTuple):
    """One view: how the image is resized, and whether it is then flipped left to right."""

    resize: Resize
    flipped: bool


class ViewMaker:
    """Make the views of a PIL image as ``ImageViews``; the target is that of the first view.

    Args:
        views: the views; the first is not flipped.
        normalize: maps each view to a normalized tensor ``[3, H, W]``.
    """

    def __init__(self, views: Sequence[View], normalize: Transform) -> None:
        self.views = list(views)
        self.normalize = normalize

    def __call__(
        self,
        image: Image.Image,
        target: BoxList | None = None,
        rng: random.Random | None = None,
    ) -> Sample:
        """Return the views and the target."""
        del rng
        tensors = []
        for view in self.views:
            resized, _ = view.resize(image)
            resized = F.hflip(resized) if view.flipped else resized
            tensors.append(self.normalize(resized)[0])
        height, width = tensors[0].shape[1:]
        target = None if target is None else target.resize((width, height))
        return ImageViews(tensors, tuple(view.flipped for view in self.views)), target


def build_test_views(cfg: CfgNode) -> list[View]:
    """Build the views of a test image; only one unless ``TEST.BBOX_AUG`` is enabled.

    Their order is that of maskrcnn-benchmark: unchanged, flipped, then each scale, unchanged and
    flipped.
    """
    inputs, options = cfg.INPUT, cfg.TEST.BBOX_AUG
    first = Resize(inputs.MIN_SIZE_TEST, inputs.MAX_SIZE_TEST, inputs.SIZE_ROUNDING)
    views = [View(first, False)]
    if not options.ENABLED:
        return views
    if options.H_FLIP:
        views.append(View(first, True))
    for scale in options.SCALES:
        resize = Resize(scale, options.MAX_SIZE, inputs.SIZE_ROUNDING)
        views += [View(resize, flipped) for flipped in (False, True)[: 1 + options.SCALE_H_FLIP]]
    return views
