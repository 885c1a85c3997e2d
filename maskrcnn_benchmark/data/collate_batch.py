"""Collate samples into a batch."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.image_list import ImageList
from maskrcnn_benchmark.structures.image_views import BatchedViews, ImageViews, to_batch

Sample = tuple[Tensor | ImageViews, BoxList, int]
Batch = tuple[ImageList | BatchedViews, tuple[BoxList, ...], tuple[int, ...]]


@dataclass(frozen=True)
class BatchCollator:
    """Pad the images of ``(image [3, H, W], target, index)`` samples to one size.

    Attributes:
        size_divisible: pad height and width to multiples of it; 0 to switch this off.
    """

    size_divisible: int = 0

    def __call__(self, samples: Sequence[Sample]) -> Batch:
        """Return ``(ImageList, targets, indices)``; of ``ImageViews``, ``BatchedViews`` first."""
        images, targets, indices = zip(*samples, strict=True)
        return to_batch(images, self.size_divisible), targets, indices
