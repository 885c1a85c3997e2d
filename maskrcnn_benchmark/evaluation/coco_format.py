"""Detections as rows of COCO's JSON results: ``bbox.json``, ``segm.json``, ``keypoints.json``."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from pycocotools.coco import COCO

from maskrcnn_benchmark.evaluation.original_frame import (
    SizedDataset,
    original_size,
    to_original_frame,
)
from maskrcnn_benchmark.structures import fields
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.mask_paste import Masker

Row = dict[str, Any]
Found = tuple[int, BoxList]  # image id, detections in the original image


class CocoStyleDataset(SizedDataset, Protocol):
    """Interface of a data set for COCO evaluation.

    Attributes:
        coco: the annotations as a pycocotools object.
        id_to_img_map: image index -> image id in the JSON.
        contiguous_category_id_to_json_id: label (from 1) -> category id in the JSON.
    """

    coco: COCO
    id_to_img_map: Mapping[int, int]
    contiguous_category_id_to_json_id: Mapping[int, int]


def in_original_frame(
    dataset: CocoStyleDataset, predictions: Sequence[BoxList], masker: Masker | None
) -> Iterator[Found]:
    """Yield ``(image id, detections in the original frame)`` of each image with detections.

    Args:
        dataset: provides ids and sizes.
        predictions: one list per image in data set order, in the frame of the resized image or,
            with masks as RLE, of the original one.
        masker: see ``to_original_frame``.

    Raises:
        ValueError: the number of predictions is not the number of images.
    """
    if len(predictions) != len(dataset.id_to_img_map):
        raise ValueError(
            f"{len(predictions)} predictions for a data set of {len(dataset.id_to_img_map)} images"
        )
    for index, prediction in enumerate(predictions):
        if len(prediction):
            found = to_original_frame(prediction, original_size(dataset, index), masker)
            yield dataset.id_to_img_map[index], found


def bbox_rows(dataset: CocoStyleDataset, found: Sequence[Found]) -> list[Row]:
    """Return a row per detection: ``image_id category_id bbox score``.

    ``bbox`` is ``x, y, width, height`` in the original image; sizes are inclusive (``x2-x1+1``) if
    the boxes are. ``score`` is the class score. The detections need ``labels`` and ``scores``.
    """
    rows: list[Row] = []
    for image_id, detections in found:
        boxes = detections.convert("xywh").bbox.tolist()
        scores = detections.get_field(fields.SCORES).tolist()
        labels = _categories(dataset, detections)
        rows += [
            {"image_id": image_id, "category_id": label, "bbox": box, "score": score}
            for label, box, score in zip(labels, boxes, scores, strict=True)
        ]
    return rows


def segm_rows(dataset: CocoStyleDataset, found: Sequence[Found]) -> list[Row]:
    """Return a row per detection: ``image_id category_id segmentation score mask_iou``.

    ``segmentation`` is a compressed RLE at the size of the original image. With a MaskIoU head,
    ``score`` is the mask score, and ``mask_iou`` its predicted mask IoU; else ``score`` is the
    class score, and there is no ``mask_iou``. The order is that of ``bbox_rows``. The detections
    need ``labels``, ``scores``, ``rles`` and, from a MaskIoU head, ``mask_ious``, ``mask_scores``.
    """
    rows: list[Row] = []
    for image_id, detections in found:
        has_mask_scores = detections.has_field(fields.MASK_SCORES)
        ranking = fields.MASK_SCORES if has_mask_scores else fields.SCORES
        scores = detections.get_field(ranking).tolist()
        rles = detections.get_field(fields.RLES).dicts()
        labels = _categories(dataset, detections)
        start = len(rows)
        rows += [
            {"image_id": image_id, "category_id": label, "segmentation": rle, "score": score}
            for label, rle, score in zip(labels, rles, scores, strict=True)
        ]
        if detections.has_field(fields.MASK_IOUS):
            ious = detections.get_field(fields.MASK_IOUS).tolist()
            for row, iou in zip(rows[start:], ious, strict=True):
                row[fields.MASK_IOU.key] = iou
    return rows


def keypoint_rows(dataset: CocoStyleDataset, found: Sequence[Found]) -> list[Row]:
    """Return a row per detection: ``image_id category_id keypoints score``.

    ``keypoints`` is a flat list of ``x, y, 1`` in the original image. ``score`` is the class score.
    The detections need ``labels``, ``scores`` and ``keypoints``.
    """
    rows: list[Row] = []
    for image_id, detections in found:
        points = detections.get_field(fields.KEYPOINTS).keypoints.flatten(1).tolist()
        scores = detections.get_field(fields.SCORES).tolist()
        labels = _categories(dataset, detections)
        rows += [
            {"image_id": image_id, "category_id": label, "keypoints": point, "score": score}
            for label, point, score in zip(labels, points, scores, strict=True)
        ]
    return rows


def ranked_by_class_score(segm: Sequence[Row], bbox: Sequence[Row]) -> list[Row]:
    """Return the mask rows with the class scores of the box rows, which have the same order."""
    return [{**mask, "score": box["score"]} for mask, box in zip(segm, bbox, strict=True)]


def _categories(dataset: CocoStyleDataset, detections: BoxList) -> list[int]:
    labels = detections.get_field(fields.LABELS).tolist()
    return [dataset.contiguous_category_id_to_json_id[label] for label in labels]
