"""Simple copy-paste augmentation (Ghiasi et al., CVPR 2021, arXiv 2012.07177)."""

import random
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from maskrcnn_benchmark.data.datasets.annotated_images import AnnotatedImages
from maskrcnn_benchmark.data.datasets.concat_dataset import ConcatDataset
from maskrcnn_benchmark.data.seeded_index import SeededIndex, random_of
from maskrcnn_benchmark.data.transforms.transforms import Transform
from maskrcnn_benchmark.structures import fields
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.instance_mask import InstanceMask, NoMask
from maskrcnn_benchmark.structures.segmentation_mask import SegmentationMask

_SHARE = 0.5  # probability that an object of the other image is pasted


class CopyPaste(Dataset[tuple[Any, BoxList, int]]):
    """A training set whose images get random objects of other images of the same set.

    Args:
        dataset: its transforms leave the images in PIL's format.
        probability: share of the images that get objects.
        finish: transform applied afterwards: normalization.

    Raises:
        ValueError: the data has no masks.
    """

    def __init__(
        self, dataset: AnnotatedImages | ConcatDataset, probability: float, finish: Transform
    ) -> None:
        if not dataset.has_masks:
            raise ValueError(
                "INPUT.COPY_PASTE pastes objects along their masks, and the data has no masks: "
                "set INPUT.COPY_PASTE 0"
            )
        self.dataset = dataset
        self.probability = probability
        self.finish = finish

    def __len__(self) -> int:
        return len(self.dataset)

    def get_img_info(self, index: int) -> dict[str, Any]:
        """Return the entry of an image: ``id``, ``file_name``, ``height``, ``width``."""
        return self.dataset.get_img_info(index)

    def __getitem__(self, index: int) -> tuple[Any, BoxList, int]:
        image, target, _ = self.dataset[index]
        of_index = random_of(index)
        draw = random.Random(f"{of_index.random()}/copy-paste") if of_index else random.Random()
        if draw.random() < self.probability:
            source = SeededIndex(draw.randrange(len(self)), f"{draw.random()}")
            other, other_target, _ = self.dataset[source]
            chosen = [draw.random() < _SHARE for _ in range(len(other_target))]
            other_target = other_target[torch.tensor(chosen, dtype=torch.bool)]
            image, target = paste_objects(image, target, other, other_target)
        image, finished = self.finish(image, target)
        assert finished is not None
        return image, finished, int(index)


def paste_objects(
    image: Image.Image, target: BoxList, other: Image.Image, other_target: BoxList
) -> tuple[Image.Image, BoxList]:
    """Paste the objects of another image along their masks, with the upper left corners aligned.

    What the pasted objects cover is taken from the masks below them, whose boxes shrink to what is
    left; objects of which no pixel is left are dropped. An object without a mask is not pasted, and
    one that is pasted upon keeps its box.

    Args:
        image: RGB.
        target: ``labels`` and ``masks`` of its objects.
        other: RGB, of any size; what lies outside of ``image`` is cut off.
        other_target: the objects to paste.

    Returns:
        A new image, and its target: the objects of ``image``, then the pasted ones.
    """
    size = image.size
    pasted, pixels = _placed(other_target, size)
    if not len(pasted):
        return image, target
    covered = pixels.any(axis=0)
    canvas = Image.new("RGB", size)
    canvas.paste(other)
    made = image.copy()
    made.paste(canvas, mask=Image.fromarray(covered.astype(np.uint8) * 255))
    below = _uncovered(target, covered)
    masks = [*below.get_field(fields.MASKS).instances, *pasted.get_field(fields.MASKS).instances]
    merged = BoxList(
        torch.cat([below.bbox, pasted.bbox]), size, "xyxy", pixel_offset=target.pixel_offset
    )
    labels = [each.get_field(fields.LABELS) for each in (below, pasted)]
    merged.add_field(fields.LABELS, torch.cat(labels))
    merged.add_field(fields.MASKS, SegmentationMask(masks, size, pixel_offset=target.pixel_offset))
    return made, merged


def _placed(target: BoxList, size: tuple[int, int]) -> tuple[BoxList, Any]:
    """Return the objects that have a pixel in an image of ``size``, and their pixels.

    Returns:
        The objects with bitmap masks on the canvas of ``size``, and the masks as bool
        ``[N, height, width]``.
    """
    width, height = size
    found = target.get_field(fields.MASKS).decode()[:, :height, :width] > 0
    pixels = np.zeros((len(found), height, width), dtype=bool)
    pixels[:, : found.shape[1], : found.shape[2]] = found
    seen = pixels.any(axis=(1, 2))
    kept, pixels = target[torch.from_numpy(seen)], pixels[seen]
    boxes = [_box_of(mask, target.pixel_offset) for mask in pixels]
    placed = BoxList(
        torch.tensor(boxes).reshape(-1, 4), size, "xyxy", pixel_offset=target.pixel_offset
    )
    placed.add_field(fields.LABELS, kept.get_field(fields.LABELS))
    masks = SegmentationMask(
        [mask.astype(np.uint8) for mask in pixels], size, pixel_offset=target.pixel_offset
    )
    placed.add_field(fields.MASKS, masks)
    return placed, pixels


def _uncovered(target: BoxList, covered: Any) -> BoxList:
    """Return the objects of which something is left, without the pixels that are covered.

    Args:
        target: with ``masks``; those without a covered pixel stay as they are.
        covered: bool ``[height, width]``.
    """
    height, width = covered.shape
    boxes: Tensor = target.bbox.clone()
    kept: list[int] = []
    masks: list[InstanceMask | Any] = []
    for row, mask in enumerate(target.get_field(fields.MASKS).instances):
        pixels = mask.rasterize(height, width) > 0
        left = pixels & ~covered
        if isinstance(mask, NoMask) or np.array_equal(left, pixels):
            kept.append(row)
            masks.append(mask)
        elif left.any():
            kept.append(row)
            masks.append(left.astype(np.uint8))
            boxes[row] = torch.tensor(_box_of(left, target.pixel_offset))
    result = BoxList(boxes[kept], target.size, "xyxy", pixel_offset=target.pixel_offset)
    result.add_field(fields.LABELS, target.get_field(fields.LABELS)[kept])
    result.add_field(
        fields.MASKS, SegmentationMask(masks, target.size, pixel_offset=target.pixel_offset)
    )
    return result


def _box_of(mask: Any, pixel_offset: float) -> list[float]:
    """Return the tight ``x1, y1, x2, y2`` of a mask with at least one pixel."""
    xs, ys = mask.any(axis=0).nonzero()[0], mask.any(axis=1).nonzero()[0]
    past = 1 - pixel_offset  # an inclusive box ends at its last pixel, a continuous one after it
    return [float(xs[0]), float(ys[0]), float(xs[-1] + past), float(ys[-1] + past)]
