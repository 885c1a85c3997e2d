"""PASCAL VOC detection: XML annotations with boxes and classes, no masks."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import torch

from maskrcnn_benchmark.data.coco_json.learned import Learned, LeftOut
from maskrcnn_benchmark.data.coco_json.pack import PackedRecords
from maskrcnn_benchmark.data.datasets.annotated_images import AnnotatedImages
from maskrcnn_benchmark.data.registry import DATASETS
from maskrcnn_benchmark.data.transforms.transforms import Transform
from maskrcnn_benchmark.structures import fields
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.box_ops import PIXEL_OFFSET
from maskrcnn_benchmark.structures.class_names import BACKGROUND, Classes

VOC_CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)
_SHOWN_PROBLEMS = 10
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


@DATASETS.register("PascalVOCDataset")
class PascalVOCDataset(AnnotatedImages):
    """A split of VOC 2007 or 2012.

    A sample is ``(image, target, index)``; the target has the field ``labels``. Difficult
    objects are left out unless ``use_difficult`` is set; the evaluation ignores them.

    Args:
        data_dir: folder ``VOC2007`` or ``VOC2012`` with ``Annotations``, ``ImageSets`` and
            ``JPEGImages``.
        split: ``train``, ``val``, ``trainval`` or ``test``, a list in ``ImageSets/Main``.
        use_difficult: whether to learn difficult objects too.
        remove_images_without_annotations: whether to leave out images without any object.
        transforms: called with the image, the target and a random generator.
        pixel_offset: convention of the boxes (``box_ops``), that of the model.

    Raises:
        FileNotFoundError: the folder or the split is missing.
        ValueError: annotations are malformed or no image is left.
    """

    has_masks = False
    metric = "voc"

    def __init__(
        self,
        data_dir: str | Path,
        split: str,
        use_difficult: bool = False,
        transforms: Transform | None = None,
        *,
        remove_images_without_annotations: bool = False,
        pixel_offset: float = PIXEL_OFFSET,
    ) -> None:
        folder = Path(data_dir)
        super().__init__(folder / "JPEGImages", transforms)
        self.use_difficult = use_difficult
        self.pixel_offset = pixel_offset
        self.class_names, _ = self.read_classes(data_dir, split)
        records = _read_split(folder, split)
        if remove_images_without_annotations:
            records = [record for record in records if record["objects"]]
        if not records:
            raise ValueError(f"{folder}: the split {split} has no image")
        self._records = PackedRecords(records)
        self.learned = self._count_learned(records)

    @staticmethod
    def read_classes(data_dir: str | Path, split: str) -> Classes:
        """Return the VOC classes; their category ids equal the labels."""
        del data_dir, split
        return Classes([BACKGROUND, *VOC_CLASSES], list(range(1, len(VOC_CLASSES) + 1)))

    def __len__(self) -> int:
        return len(self._records)

    def get_img_info(self, index: int) -> dict[str, Any]:
        """Return ``id``, ``file_name``, ``height``, ``width`` and ``objects`` of an image."""
        return self._records[int(index)]

    def get_groundtruth(self, index: int) -> BoxList:
        """Return all objects of an image, with the fields ``labels`` and ``difficult``."""
        info = self.get_img_info(index)
        objects = info["objects"]
        xywh = [
            [x1 - 1, y1 - 1, x2 - x1 + 1, y2 - y1 + 1]  # VOC coordinates are 1-based
            for x1, y1, x2, y2 in (o["box"] for o in objects)
        ]
        size = (info["width"], info["height"])
        target = BoxList(xywh, size, "xywh", pixel_offset=self.pixel_offset).convert("xyxy")
        labels = [self.class_names.index(o["name"]) for o in objects]
        target.add_field(fields.LABELS, torch.tensor(labels, dtype=torch.int64))
        difficult = [o["difficult"] for o in objects]
        target.add_field(fields.DIFFICULT, torch.tensor(difficult, dtype=torch.bool))
        return target

    def map_class_id_to_class_name(self, class_id: int) -> str:
        """Return the name of a label."""
        return self.class_names[class_id]

    def _count_learned(self, records: list[dict[str, Any]]) -> Learned:
        """Count the objects that ``_make_target`` keeps."""
        total = sum(len(record["objects"]) for record in records)
        targets = (self._make_target(i, (r["width"], r["height"])) for i, r in enumerate(records))
        count = sum(map(len, targets))
        objects = [each for record in records for each in record["objects"]]
        difficult = 0 if self.use_difficult else sum(each["difficult"] for each in objects)
        left_out = {"difficult": difficult, LeftOut.BELOW_A_PIXEL.text: total - count - difficult}
        reasons = {why: number for why, number in left_out.items() if number}
        return Learned(total, reasons, without_mask=count)

    def _make_target(self, index: int, size: tuple[int, int]) -> BoxList:
        del size  # the annotations have it
        target = self.get_groundtruth(index)
        if not self.use_difficult:
            target = target[~target.get_field(fields.DIFFICULT)]
        return target.copy_with_fields(fields.LABELS).clip_to_image(remove_empty=True)


def _read_split(folder: Path, split: str) -> list[dict[str, Any]]:
    """Return a record of each image of a split."""
    path = folder / "ImageSets" / "Main" / f"{split}.txt"
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    records, problems = [], []
    for name in path.read_text(encoding="utf-8").split():
        try:
            records.append(_read_record(folder / "Annotations" / f"{name}.xml", name))
        except ValueError as error:  # noqa: PERF203 - all problems at once
            problems.append(str(error))
    if problems:
        more = len(problems) - _SHOWN_PROBLEMS
        shown = problems[:_SHOWN_PROBLEMS] + ([f"and {more} more"] if more > 0 else [])
        raise ValueError("malformed annotations:\n  " + "\n  ".join(shown))
    return records


def _read_record(path: Path, name: str) -> dict[str, Any]:
    """Read one annotation file."""
    try:
        root = ElementTree.parse(path).getroot()  # noqa: S314 - the user's own data
        width, height = (int(_text(root, f"size/{side}")) for side in ("width", "height"))
        objects = [_read_object(node) for node in root.iter("object")]
    except (OSError, ElementTree.ParseError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
    if width <= 0 or height <= 0:
        raise ValueError(f"{path}: width {width}, height {height}")
    return {
        "id": name,
        "file_name": f"{name}.jpg",
        "width": width,
        "height": height,
        "objects": objects,
    }


def _read_object(node: ElementTree.Element) -> dict[str, Any]:
    """Read one object: class name, 1-based box, and whether it is difficult."""
    name = _text(node, "name").strip()
    if name not in VOC_CLASSES:
        raise ValueError(f"class {name!r} is none of VOC's")
    difficult = node.findtext("difficult", default="0").strip() == "1"
    box = [float(_text(node, f"bndbox/{corner}")) for corner in _CORNERS]
    return {"name": name, "difficult": difficult, "box": box}


def _text(node: ElementTree.Element, path: str) -> str:
    """Return the text of a required node."""
    text = node.findtext(path)
    if text is None:
        raise ValueError(f"<{node.tag}> has no {path}")
    return text
