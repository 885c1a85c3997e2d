"""Cityscapes from its own files: instances in label images or polygons."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from maskrcnn_benchmark.data.coco_json.learned import Learned, LeftOut
from maskrcnn_benchmark.data.coco_json.pack import PackedRecords
from maskrcnn_benchmark.data.datasets.annotated_images import AnnotatedImages
from maskrcnn_benchmark.data.datasets.cityscapes_files import (
    EVALUATED,
    INSTANCES,
    Record,
    read_label_image,
    read_polygons,
)
from maskrcnn_benchmark.data.registry import DATASETS
from maskrcnn_benchmark.data.transforms.transforms import Transform
from maskrcnn_benchmark.structures import fields
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.box_ops import PIXEL_OFFSET
from maskrcnn_benchmark.structures.class_names import BACKGROUND, Classes
from maskrcnn_benchmark.structures.segmentation_mask import SegmentationMask

_IMAGE = "_leftImg8bit.png"
# mode -> classes, suffix of the annotation files, what reads one
_MODES: dict[str, tuple[dict[str, int], str, Callable[[Path], Record]]] = {
    "mask": (EVALUATED, "_gtFine_instanceIds.png", read_label_image),
    "poly": (INSTANCES, "_gtFine_polygons.json", read_polygons),
}
_SHOWN_PROBLEMS = 10
_THREADS = 4


@DATASETS.register("CityScapesDataset")
class CityScapesDataset(AnnotatedImages):
    """A split of Cityscapes with fine annotations.

    A sample is ``(image, target, index)``; the target has the fields ``labels`` and ``masks``.
    Groups of instances are left out. All annotation files are read when the data set is built.

    Args:
        img_dir: folder ``leftImg8bit`` with ``<split>/<city>/<name>_leftImg8bit.png``.
        ann_dir: folder ``gtFine`` with ``<split>/<city>/<name>_gtFine_instanceIds.png`` and
            ``..._polygons.json``.
        split: ``train``, ``val`` or ``test``.
        mode: ``mask`` reads the label images, with the 8 classes of the benchmark; ``poly`` reads
            the polygons, in which instances may cover each other, with ``caravan`` and ``trailer``
            as well.
        mini: number of images to use; None for all.
        remove_images_without_annotations: whether to leave out images without any instance.
        transforms: called with the image, the target and a random generator.
        pixel_offset: convention of the boxes (``box_ops``), that of the model.

    Raises:
        FileNotFoundError: a folder or an annotation file is missing.
        ValueError: annotations are malformed, the mode is unknown, or no image is left.
    """

    has_masks = True
    metric = "cityscapes"

    def __init__(
        self,
        img_dir: str | Path,
        ann_dir: str | Path,
        split: str,
        mode: str = "mask",
        mini: int | None = None,
        *,
        remove_images_without_annotations: bool = False,
        transforms: Transform | None = None,
        pixel_offset: float = PIXEL_OFFSET,
    ) -> None:
        super().__init__(Path(img_dir) / split, transforms)
        self.pixel_offset = pixel_offset
        self.class_names, _ = self.read_classes(img_dir, ann_dir, split, mode)
        classes, suffix, read = _MODES[mode]
        records = _read_split(self.root, Path(ann_dir) / split, suffix, read)[:mini]
        for record in records:
            record["objects"] = [o for o in record["objects"] if o["name"] in classes]
        if remove_images_without_annotations:
            records = [record for record in records if record["objects"]]
        if not records:
            raise ValueError(f"{self.root}: no city has an image *{_IMAGE}")
        self._records = PackedRecords(records)
        total = sum(len(record["objects"]) for record in records)
        boxes = (self._make_boxes(record) for record in records)
        kept = sum(len(each.clip_to_image(remove_empty=True)) for each in boxes)
        left_out = {LeftOut.BELOW_A_PIXEL.text: total - kept} if kept < total else {}
        self.learned = Learned(total, left_out)

    @staticmethod
    def read_classes(
        img_dir: str | Path,
        ann_dir: str | Path,
        split: str,
        mode: str = "mask",
        mini: int | None = None,
    ) -> Classes:
        """Return the classes of a mode; their category ids are Cityscapes' label ids.

        Raises:
            ValueError: the mode is unknown.
        """
        del img_dir, ann_dir, split, mini
        if mode not in _MODES:
            raise ValueError(f"Cityscapes' mode is {mode!r}; it must be one of {', '.join(_MODES)}")
        classes = _MODES[mode][0]
        return Classes([BACKGROUND, *classes], list(classes.values()))

    def __len__(self) -> int:
        return len(self._records)

    def get_img_info(self, index: int) -> dict[str, Any]:
        """Return ``id``, ``file_name``, ``height``, ``width`` and ``objects`` of an image."""
        return self._records[int(index)]

    def get_groundtruth(self, index: int) -> BoxList:
        """Return all instances of an image, with the fields ``labels`` and ``masks``."""
        info = self.get_img_info(index)
        target = self._make_boxes(info)
        labels = [self.class_names.index(o["name"]) for o in info["objects"]]
        target.add_field(fields.LABELS, torch.tensor(labels, dtype=torch.int64))
        masks = [o["segmentation"] for o in info["objects"]]
        target.add_field(
            fields.MASKS, SegmentationMask(masks, target.size, pixel_offset=self.pixel_offset)
        )
        return target

    def _make_boxes(self, record: Record) -> BoxList:
        size, boxes = (record["width"], record["height"]), [o["box"] for o in record["objects"]]
        return BoxList(boxes, size, "xywh", pixel_offset=self.pixel_offset).convert("xyxy")

    def _make_target(self, index: int, size: tuple[int, int]) -> BoxList:
        del size  # the annotations have it
        return self.get_groundtruth(index).clip_to_image(remove_empty=True)


def _read_split(
    images: Path, annotations: Path, suffix: str, read: Callable[[Path], Record]
) -> list[Record]:
    """Return a record of each image of a split, sorted by name."""
    names = [
        path.relative_to(images).as_posix().removesuffix(_IMAGE)
        for path in sorted(images.glob(f"*/*{_IMAGE}"))
    ]
    paths = [annotations / f"{name}{suffix}" for name in names]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise FileNotFoundError(f"{missing[0]} does not exist ({len(missing)} such files)")
    problems: list[str] = []

    def read_one(path: Path) -> Record:
        try:
            return read(path)
        except ValueError as error:
            problems.append(f"{path}: {error}")
            return {}

    with ThreadPoolExecutor(_THREADS) as pool:
        records = list(pool.map(read_one, paths))
    if problems:
        more = len(problems) - _SHOWN_PROBLEMS
        shown = problems[:_SHOWN_PROBLEMS] + ([f"and {more} more"] if more > 0 else [])
        raise ValueError("malformed annotations:\n  " + "\n  ".join(shown))
    return [
        {"id": Path(name).name, "file_name": f"{name}{_IMAGE}", **record}
        for name, record in zip(names, records, strict=True)
    ]
