"""Images with boxes, classes and masks out of COCO annotation files."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch.utils.data import Dataset

from maskrcnn_benchmark.data.datasets.classes import BACKGROUND, Classes
from maskrcnn_benchmark.data.datasets.coco_format import read_categories, read_coco
from maskrcnn_benchmark.data.datasets.coco_problems import has_mask
from maskrcnn_benchmark.data.datasets.images import read_image
from maskrcnn_benchmark.data.seeded_index import random_of
from maskrcnn_benchmark.data.transforms.transforms import Transform
from maskrcnn_benchmark.structures import fields
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.box_ops import PIXEL_OFFSET
from maskrcnn_benchmark.structures.segmentation_mask import SegmentationMask


class COCODataset(Dataset[tuple[Any, BoxList, int]]):
    """A data set in COCO format.

    A sample is ``(image, target, index)``: a PIL image or what the transforms make of it, and a
    ``BoxList`` with the fields ``labels`` (int64, from 1) and, if the file has masks, ``masks``.
    Crowd annotations are left out; an image may end up with an empty target.

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
        coco: the file as pycocotools has it.
        has_masks: whether any annotation has a mask (or there is no annotation).

    Raises:
        FileNotFoundError: the file or the folder is missing.
        ValueError: the file is malformed (see ``read_coco``), or no image is left.
    """

    def __init__(
        self,
        ann_file: str | Path,
        root: str | Path,
        remove_images_without_annotations: bool = False,
        transforms: Transform | None = None,
        *,
        pixel_offset: float = PIXEL_OFFSET,
    ) -> None:
        self.root = Path(root)
        self.transforms = transforms
        self.pixel_offset = pixel_offset
        self.coco = read_coco(ann_file)
        if not self.root.is_dir():
            raise FileNotFoundError(f"image folder {self.root} does not exist")
        annotated = {annotation["image_id"] for annotation in self.coco.anns.values()}
        kept = annotated if remove_images_without_annotations else self.coco.imgs
        self.ids = sorted(kept)
        if not self.ids:
            raise ValueError(f"{ann_file} has no {'annotated ' if self.coco.imgs else ''}image")
        self.id_to_img_map = dict(enumerate(self.ids))
        self.class_names, category_ids = _classes(self.coco.dataset["categories"])
        self.contiguous_category_id_to_json_id = dict(enumerate(category_ids, 1))
        self.json_category_id_to_contiguous_id = {
            json_id: label for label, json_id in self.contiguous_category_id_to_json_id.items()
        }
        self.has_masks = self._count_masks(ann_file)

    @staticmethod
    def read_classes(ann_file: str | Path, root: str | Path) -> Classes:
        """Return the classes of a file without building a data set of it.

        Raises:
            FileNotFoundError: the file is missing.
            ValueError: the file is not in COCO's format, or its categories are malformed.
        """
        del root
        return _classes(read_categories(ann_file))

    def _count_masks(self, ann_file: str | Path) -> bool:
        """Tell whether there are masks to learn, and warn of instances that lack one."""
        instances = [a for a in self.coco.anns.values() if not a.get("iscrowd", 0)]
        without = [annotation["id"] for annotation in instances if not has_mask(annotation)]
        if len(without) == len(instances):
            return not instances
        if without:
            logging.getLogger(__name__).warning(
                f"{ann_file}: {len(without)} instances have no polygon of three vertices and are "
                f"left out; the first annotation ids are {without[:10]}"
            )
        return True

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> tuple[Any, BoxList, int]:
        image_id = self.ids[index]
        image: Any = self._read_image(image_id)
        target: BoxList | None = self._make_target(image_id, image.size)
        if self.transforms is not None:
            image, target = self.transforms(image, target, random_of(index))
        assert target is not None
        return image, target, int(index)

    def get_img_info(self, index: int) -> dict[str, Any]:
        """Return the file's entry of an image: ``id``, ``file_name``, ``height``, ``width``."""
        return self.coco.imgs[self.ids[index]]

    def _read_image(self, image_id: int) -> Image.Image:
        """Read an image, and see that it has the annotated size."""
        info = self.coco.imgs[image_id]
        try:
            size = (info["width"], info["height"])
            image = read_image(self.root / info["file_name"], size)
        except (FileNotFoundError, ValueError) as error:
            raise type(error)(f"image id {image_id}: {error}") from error
        if image.size != size:
            raise ValueError(
                f"image id {image_id}: {self.root / info['file_name']} is {image.size[0]} pixels "
                f"wide and {image.size[1]} high, the annotations say {info['width']} and "
                f"{info['height']}"
            )
        return image

    def _make_target(self, image_id: int, size: tuple[int, int]) -> BoxList:
        """Return the instances of an image of ``(width, height)``, clipped to it."""
        annotations = [
            annotation
            for annotation in self.coco.imgToAnns.get(image_id, [])
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


def _classes(categories: list[dict[str, Any]]) -> Classes:
    """Return the classes of a file's categories; labels follow the order of the file."""
    names = [category["name"] for category in categories]
    return Classes([BACKGROUND, *names], [category["id"] for category in categories])
