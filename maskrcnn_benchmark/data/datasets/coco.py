"""Images with boxes, classes and masks out of COCO annotation files."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from pycocotools.coco import COCO

from maskrcnn_benchmark.data.datasets.annotated_images import AnnotatedImages
from maskrcnn_benchmark.data.datasets.classes import BACKGROUND, Classes
from maskrcnn_benchmark.data.datasets.coco_format import (
    index_annotations,
    read_annotations,
    read_categories,
)
from maskrcnn_benchmark.data.datasets.coco_problems import has_mask
from maskrcnn_benchmark.data.datasets.packed_records import GroupedRecords, PackedRecords
from maskrcnn_benchmark.data.transforms.transforms import Transform
from maskrcnn_benchmark.structures import fields
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.box_ops import PIXEL_OFFSET
from maskrcnn_benchmark.structures.segmentation_mask import SegmentationMask


class COCODataset(AnnotatedImages):
    """A data set in COCO format.

    A sample is ``(image, target, index)``: a PIL image or what the transforms make of it, and a
    ``BoxList`` with the fields ``labels`` (int64, from 1) and, if the file has masks, ``masks``.
    Crowd annotations are left out; an image may end up with an empty target. The annotations are
    held in flat tensors that worker processes share.

    Args:
        ann_file: the json.
        root: folder of the images.
        remove_images_without_annotations: leave images out that have no annotation at all; those
            with nothing but crowds stay.
        transforms: called with the image, the target and a random generator.
        pixel_offset: convention of the boxes (``box_ops``), that of the model.

    Attributes:
        ids: image id of each index, sorted.
        id_to_img_map: index to image id.
        json_category_id_to_contiguous_id: category id to label.
        contiguous_category_id_to_json_id: label to category id.
        class_names: name of each label; 0 is ``__background__``.
        coco: the file as pycocotools has it; made when it is first asked for.
        has_masks: whether any annotation has a mask (or there is no annotation).

    Raises:
        FileNotFoundError: the file or the folder is missing.
        ValueError: the file is malformed (see ``read_annotations``), or no image is left.
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
    ) -> None:
        content = read_annotations(ann_file)
        super().__init__(root, transforms)
        self.pixel_offset = pixel_offset
        images, annotations = content.pop("images"), content.pop("annotations")
        row_of = {image["id"]: row for row, image in enumerate(images)}
        rows = [row_of[annotation["image_id"]] for annotation in annotations]
        self._annotations = GroupedRecords(annotations, rows, len(images))
        kept = set(rows) if remove_images_without_annotations else range(len(images))
        if not kept:
            raise ValueError(f"{ann_file} has no {'annotated ' if images else ''}image")
        self._rows = torch.tensor(sorted(kept, key=lambda row: images[row]["id"]))
        self._images = PackedRecords(images)
        self._rest = content
        self.class_names, category_ids = _classes(content["categories"])
        self.contiguous_category_id_to_json_id = dict(enumerate(category_ids, 1))
        self.json_category_id_to_contiguous_id = {
            json_id: label for label, json_id in self.contiguous_category_id_to_json_id.items()
        }
        self.has_masks = _count_masks(ann_file, annotations)

    @cached_property
    def ids(self) -> list[Any]:
        """Return the image id of each index, sorted."""
        return [self._images[row]["id"] for row in self._rows.tolist()]

    @cached_property
    def id_to_img_map(self) -> dict[int, Any]:
        """Return the image id of each index as a dict."""
        return dict(enumerate(self.ids))

    @cached_property
    def coco(self) -> COCO:
        """Return the file as pycocotools has it; needs memory for a Python object of each thing."""
        images, annotations = list(self._images), list(self._annotations.records)
        return index_annotations({**self._rest, "images": images, "annotations": annotations})

    def __getstate__(self) -> dict[str, Any]:
        # what a worker that is spawned gets: the flat tensors, not what was made of them
        return {k: v for k, v in self.__dict__.items() if k not in ("ids", "id_to_img_map", "coco")}

    @staticmethod
    def read_classes(ann_file: str | Path, root: str | Path) -> Classes:
        """Return the classes of a file without building a data set of it.

        Raises:
            FileNotFoundError: the file is missing.
            ValueError: the file is not in COCO's format, or its categories are malformed.
        """
        del root
        return _classes(read_categories(ann_file))

    def __len__(self) -> int:
        return len(self._rows)

    def get_img_info(self, index: int) -> dict[str, Any]:
        """Return the file's entry of an image: ``id``, ``file_name``, ``height``, ``width``."""
        return self._images[int(self._rows[index])]

    def _make_target(self, index: int, size: tuple[int, int]) -> BoxList:
        """Return the instances of an image of ``(width, height)``, clipped to it."""
        annotations = [
            annotation
            for annotation in self._annotations[int(self._rows[index])]
            if not annotation.get("iscrowd", 0) and (has_mask(annotation) or not self.has_masks)
        ]
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
        return target.clip_to_image(remove_empty=True)


def _count_masks(ann_file: str | Path, annotations: Iterable[dict[str, Any]]) -> bool:
    """Tell whether there are masks to learn, and warn of instances that lack one."""
    usable = [(a["id"], has_mask(a)) for a in annotations if not a.get("iscrowd", 0)]
    without = [annotation_id for annotation_id, is_usable in usable if not is_usable]
    if len(without) == len(usable):
        return not usable
    if without:
        logging.getLogger(__name__).warning(
            f"{ann_file}: {len(without)} instances have no polygon of three vertices and are "
            f"left out; the first annotation ids are {without[:10]}"
        )
    return True


def _classes(categories: list[dict[str, Any]]) -> Classes:
    """Return the classes of a file's categories; labels follow the order of the file."""
    names = [category["name"] for category in categories]
    return Classes([BACKGROUND, *names], [category["id"] for category in categories])
