"""Concatenation of data sets."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.data import ConcatDataset as TorchConcatDataset

from maskrcnn_benchmark.data.datasets.annotated_images import AnnotatedImages
from maskrcnn_benchmark.data.seeded_index import SeededIndex
from maskrcnn_benchmark.structures import fields
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.keypoints import Keypoints
from maskrcnn_benchmark.structures.segmentation_mask import SegmentationMask


class ConcatDataset(TorchConcatDataset[tuple[Any, BoxList, int]]):
    """A concatenation of data sets with the same classes.

    Attributes:
        class_names: as in ``AnnotatedImages``.
        has_masks: whether any of them has masks; the instances of the others have absent masks.

        keypoint_set: the keypoints of any of them; those of the others are not annotated.

    Raises:
        ValueError: the classes or the keypoints differ.
    """

    def __init__(self, datasets: Sequence[AnnotatedImages]) -> None:
        super().__init__(datasets)
        self.class_names = datasets[0].class_names
        self.has_masks = any(dataset.has_masks for dataset in datasets)
        for dataset in datasets[1:]:
            if dataset.class_names != self.class_names:
                raise ValueError(
                    "data sets trained on together need the same classes in the same order, got "
                    f"{self.class_names[1:]} and {dataset.class_names[1:]}"
                )

        sets = [d.keypoint_set for d in datasets if d.keypoint_set is not None]
        self.keypoint_set = sets[0] if sets else None
        for other in sets[1:]:
            if other.keypoint_names != sets[0].keypoint_names:
                raise ValueError(
                    "data sets trained on together need the same keypoints in the same order, got "
                    f"{sets[0].keypoint_names} and {other.keypoint_names}"
                )

    def get_idxs(self, index: int) -> tuple[int, int]:
        """Return the index of the data set that ``index`` falls into, and the index within it."""
        dataset_index = bisect_right(self.cumulative_sizes, index)
        start = self.cumulative_sizes[dataset_index - 1] if dataset_index else 0
        return dataset_index, int(index) - start

    def __getitem__(self, index: int) -> tuple[Any, BoxList, int]:
        dataset_index, inner = self.get_idxs(index)
        if isinstance(index, SeededIndex):
            inner = SeededIndex(inner, index.seed)
        image, target, _ = self.datasets[dataset_index][inner]
        if self.has_masks and not target.has_field(fields.MASKS):
            target.add_field(fields.MASKS, SegmentationMask([None] * len(target), target.size))
        if self.keypoint_set is not None and not target.has_field(fields.KEYPOINTS):
            names = self.keypoint_set.keypoint_names
            unknown = torch.zeros(len(target), len(names), 3)
            keypoints = Keypoints(
                unknown, target.size, names=names, pixel_offset=target.pixel_offset
            )
            target.add_field(fields.KEYPOINTS, keypoints)
        return image, target, int(index)

    def get_labels(self, index: int) -> set[int]:
        """Return the labels of the instances to learn from an image."""
        dataset_index, inner = self.get_idxs(index)
        labels: set[int] = self.datasets[dataset_index].get_labels(inner)  # type: ignore[attr-defined]
        return labels

    def get_img_info(self, index: int) -> dict[str, Any]:
        """Return the entry of an image: ``id``, ``file_name``, ``height``, ``width``."""
        dataset_index, inner = self.get_idxs(index)
        return self.datasets[dataset_index].get_img_info(inner)  # type: ignore[attr-defined]
