"""Detections as COCO JSON: ``images``, ``categories`` and ``annotations`` with three scores.

``info`` holds the box convention of the model (``pixel_offset``, see ``box_ops``).

An annotation has ``bbox``, ``segmentation`` (RLE) and ``area`` as in a ground truth file, ``score``
(the class score) and, if the model predicts them, ``mask_iou``, ``mask_score`` and ``keypoints``
(``x, y, 1`` of each). With keypoints, the categories have ``keypoints`` and ``skeleton``.
``pycocotools.coco.COCO`` opens the file, and ``COCO.loadRes`` accepts its ``annotations``.
"""

from collections.abc import Sequence
from typing import Any

from maskrcnn_benchmark.structures import fields
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.fields import SCORE_KINDS
from maskrcnn_benchmark.structures.keypoints import KeypointSet
from maskrcnn_benchmark.structures.rle import Rle, rle_areas


class CocoContent:
    """The content of a COCO JSON that detections are added to, image by image.

    Args:
        class_names: name of each label; the first is the background.
        category_ids: category id of each label in the file, starting with label 1.
        keypoint_set: the keypoints of the model.
    """

    def __init__(
        self, class_names: Sequence[str], category_ids: Sequence[int], keypoint_set: KeypointSet
    ) -> None:
        more: dict[str, Any] = {}
        if keypoint_set.keypoint_names:
            limbs = [[a + 1, b + 1] for a, b in keypoint_set.skeleton]
            more = {"keypoints": list(keypoint_set.keypoint_names), "skeleton": limbs}
        named = zip(category_ids, class_names[1:], strict=True)
        self._categories = [{"id": i, "name": name, **more} for i, name in named]
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._pixel_offset: float | None = None

    def add(
        self, file_name: str, detections: BoxList, rles: Sequence[Rle] | None, **more: Any
    ) -> None:
        """Add an image.

        Args:
            file_name: file name of the image.
            detections: its detections, all of which are added.
            rles: their masks, compressed RLE of the size of the image; None: it has none.
            more: additional JSON values of the image entry, such as the frame index of a video.

        Raises:
            ValueError: the box convention differs from that of earlier images.
        """
        if self._pixel_offset not in (None, detections.pixel_offset):
            raise ValueError(
                f"{file_name}: pixel offset {detections.pixel_offset} differs from that of earlier "
                f"images, {self._pixel_offset}"
            )
        self._pixel_offset = detections.pixel_offset
        image_id = len(self._images) + 1
        width, height = detections.size
        entry = {"id": image_id, "file_name": file_name, "width": width, "height": height}
        self._images.append({**entry, **more})
        labels = detections.get_field(fields.LABELS).tolist()
        for label, row in zip(labels, _annotations(detections, rles or ()), strict=True):
            annotation_id, category = len(self._annotations) + 1, self._categories[label - 1]["id"]
            start = {
                "id": annotation_id,
                "image_id": image_id,
                "category_id": category,
                "iscrowd": 0,
            }
            self._annotations.append(start | row)

    def content(self) -> dict[str, Any]:
        """Return everything that was added, ready for JSON."""
        return {
            "info": {} if self._pixel_offset is None else {"pixel_offset": self._pixel_offset},
            "images": self._images,
            "categories": self._categories,
            "annotations": self._annotations,
        }


def _annotations(detections: BoxList, rles: Sequence[Rle]) -> list[dict[str, Any]]:
    """Return the annotation of each detection, without ids."""
    boxes = detections.convert("xywh").bbox.tolist()
    rows: list[dict[str, Any]] = [{"bbox": box, "area": box[2] * box[3]} for box in boxes]
    for row, rle, area in zip(rows, rles, rle_areas(rles).tolist(), strict=False):
        row |= {"segmentation": rle, "area": float(area)}
    if detections.has_field(fields.KEYPOINTS):
        points = detections.get_field(fields.KEYPOINTS).keypoints
        for row, own in zip(rows, points.flatten(1).tolist(), strict=True):
            row["keypoints"] = own
            row["num_keypoints"] = points.shape[1]
    for kind in SCORE_KINDS.values():
        if detections.has_field(kind.field):
            values = detections.get_field(kind.field).tolist()
            for row, value in zip(rows, values, strict=True):
                row[kind.key] = value
    return rows
