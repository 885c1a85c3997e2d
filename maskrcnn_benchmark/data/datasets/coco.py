"""Data sets in COCO format."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from pycocotools.coco import COCO

from maskrcnn_benchmark.data.coco_json import LeftOut, read_categories, read_coco
from maskrcnn_benchmark.data.coco_json.entries import Category, common_keypoint_set
from maskrcnn_benchmark.data.coco_json.ground_truth import index_annotations
from maskrcnn_benchmark.data.coco_json.keypoints import has_valid_annotation, read_keypoints
from maskrcnn_benchmark.data.coco_json.pack import GroupedRecords
from maskrcnn_benchmark.data.datasets.annotated_images import AnnotatedImages
from maskrcnn_benchmark.data.registry import DATASETS
from maskrcnn_benchmark.data.transforms.transforms import Transform
from maskrcnn_benchmark.structures import fields
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.box_ops import PIXEL_OFFSET
from maskrcnn_benchmark.structures.class_names import BACKGROUND, Classes
from maskrcnn_benchmark.structures.keypoints import Keypoints, KeypointSet
from maskrcnn_benchmark.structures.segmentation_mask import SegmentationMask


@DATASETS.register("COCODataset")
class COCODataset(AnnotatedImages):
    """A data set in COCO format.

    A sample is ``(image, target, index)``: a PIL image or what the transforms make of it, and a
    ``BoxList`` with the fields ``labels`` (int64, from 1) and, if the file has masks, ``masks``, in
    which those of instances without a mask are absent; and if its categories have keypoints,
    ``keypoints`` (``Keypoints``). What is not learned (``LeftOut``) is not in
    the target, and is ignored by the evaluation; an image may end up with an empty target. The
    annotations are held in flat tensors that worker processes share.

    Args:
        ann_file: the json.
        root: folder of the images.
        remove_images_without_annotations: leave images out that have no annotation at all; those
            whose annotations are all left out stay.
        min_keypoints: with ``remove_images_without_annotations``, if above 0: leave images out by
            the rule of ``has_valid_annotation``.
        transforms: called with the image, the target and a random generator.
        pixel_offset: convention of the boxes (``box_ops``), that of the model.

    Attributes:
        ids: image id of each index, sorted.
        id_to_img_map: index to image id.
        json_category_id_to_contiguous_id: category id to label.
        contiguous_category_id_to_json_id: label to category id.
        class_names: name of each label; 0 is ``__background__``.
        coco: the ground truth as a pycocotools object, see ``index_annotations``; built on first
            use.
        has_masks: whether any instance to learn has a mask (or there is no annotation).
        keypoint_set: the keypoints that the categories have in common; None without any.
        learned: how many instances are learned, and why others are not.

    Raises:
        FileNotFoundError: the file or the folder is missing.
        ValueError: the file is malformed, nothing of it is learned (see ``read_coco``), or no image
            is left.
    """

    metric = "coco"

    def __init__(
        self,
        ann_file: str | Path,
        root: str | Path,
        remove_images_without_annotations: bool = False,
        transforms: Transform | None = None,
        *,
        pixel_offset: float = PIXEL_OFFSET,
        min_keypoints: int = 0,
    ) -> None:
        file = read_coco(ann_file, pixel_offset)
        super().__init__(root, transforms)
        self.pixel_offset = pixel_offset
        self.learned = file.learned
        self._annotations = GroupedRecords(file.annotations, file.rows, len(file.images))
        self._left_out = file.left_out
        rows = torch.arange(len(file.images))
        least = min_keypoints if remove_images_without_annotations else 0
        if remove_images_without_annotations:
            rows = file.rows.unique()
        if least:
            valid = [has_valid_annotation(self._annotations[row], least) for row in rows.tolist()]
            rows = rows[torch.tensor(valid, dtype=torch.bool)]
        if not len(rows):
            having = f" with at least {least} keypoints" if least else ""
            raise ValueError(f"annotation file {ann_file} has no annotated image{having}")
        self._rows = rows
        self._images = file.images
        self._categories = file.categories
        self.keypoint_set = common_keypoint_set(file.categories)
        self.class_names, category_ids = _classes(file.categories)
        self.contiguous_category_id_to_json_id = dict(enumerate(category_ids, 1))
        self.json_category_id_to_contiguous_id = {
            json_id: label for label, json_id in self.contiguous_category_id_to_json_id.items()
        }
        self.has_masks = not self.learned.total or self.learned.without_mask < self.learned.count

    @cached_property
    def ids(self) -> list[Any]:
        """The image id of each index, sorted."""
        return [self._images[row]["id"] for row in self._rows.tolist()]

    @cached_property
    def id_to_img_map(self) -> dict[int, Any]:
        """The image id of each index as a dict."""
        return dict(enumerate(self.ids))

    @cached_property
    def coco(self) -> COCO:
        """The ground truth as a pycocotools object, which holds every annotation in Python."""
        return index_annotations(
            self._images, self._categories, self._annotations.records, self._left_out
        )

    def __getstate__(self) -> dict[str, Any]:
        # spawned workers get the flat tensors only, not what is derived from them
        return {k: v for k, v in self.__dict__.items() if k not in ("ids", "id_to_img_map", "coco")}

    @staticmethod
    def read_classes(ann_file: str | Path, root: str | Path) -> Classes:
        """Return the classes of a file without building the data set.

        Raises:
            FileNotFoundError: the file is missing.
            ValueError: the file is not in COCO's format, or its categories are malformed.
        """
        del root
        return _classes(read_categories(ann_file))

    @staticmethod
    def read_keypoint_set(ann_file: str | Path, root: str | Path) -> KeypointSet | None:  # type: ignore[override]
        """Return the keypoints that a file's categories have in common; None without any.

        Raises:
            FileNotFoundError, ValueError: see ``read_classes``.
        """
        del root
        return common_keypoint_set(read_categories(ann_file))

    def __len__(self) -> int:
        return len(self._rows)

    def get_img_info(self, index: int) -> dict[str, Any]:
        """Return the file's entry of an image: ``id``, ``file_name``, ``height``, ``width``."""
        return self._images[int(self._rows[index])]

    def get_labels(self, index: int) -> set[int]:
        """Return the labels of the instances to learn from an image."""
        to_label = self.json_category_id_to_contiguous_id
        return {to_label[annotation["category_id"]] for annotation in self._learned(index)}

    def _learned(self, index: int) -> list[dict[str, Any]]:
        """Return the annotations to learn from an image."""
        left_out = self._left_out.numpy()  # a view
        return [
            annotation
            for annotation in self._annotations[int(self._rows[index])]
            if left_out[annotation["id"] - 1] == LeftOut.LEARNED
        ]

    def _make_target(self, index: int, size: tuple[int, int]) -> BoxList:
        """Return the instances of an image of ``(width, height)``, clipped to it."""
        annotations = self._learned(index)
        boxes = [annotation["bbox"] for annotation in annotations]
        target = BoxList(boxes, size, "xywh", pixel_offset=self.pixel_offset).convert("xyxy")
        to_label = self.json_category_id_to_contiguous_id
        labels = [to_label[annotation["category_id"]] for annotation in annotations]
        target.add_field(fields.LABELS, torch.tensor(labels, dtype=torch.int64))
        if self.has_masks:
            masks = [annotation["segmentation"] for annotation in annotations]
            target.add_field(
                fields.MASKS, SegmentationMask(masks, size, pixel_offset=self.pixel_offset)
            )
        if self.keypoint_set is not None:
            names = self.keypoint_set.keypoint_names
            points = [read_keypoints(a.get("keypoints"), len(names)) for a in annotations]
            target.add_field(
                fields.KEYPOINTS,
                Keypoints(points, size, names=names, pixel_offset=self.pixel_offset),
            )
        return target.clip_to_image(remove_empty=False)


def _classes(categories: Sequence[Category]) -> Classes:
    """Return the classes of a file's categories; labels follow the order of the file."""
    return Classes([BACKGROUND, *(c.name for c in categories)], [c.id for c in categories])
