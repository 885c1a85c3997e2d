"""Detected masks in columns: all their scores, and the annotated object that each one overlaps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from maskrcnn_benchmark.evaluation.coco_format import Row
from maskrcnn_benchmark.evaluation.coco_results import SEGM_BY_CLASS_SCORE
from maskrcnn_benchmark.evaluation.mask_ious import Floats, MaskIous
from maskrcnn_benchmark.structures.fields import CLASS_SCORE, MASK_IOU, MASK_SCORE, SCORE_KINDS
from maskrcnn_benchmark.structures.rle import rle_box

Scores = Mapping[str, Floats]


@dataclass(frozen=True)
class DetectedMasks:
    """N detected masks, as read from a file or made by a model.

    Attributes:
        rows: N dicts with ``image_id``, ``category_id`` and ``segmentation``, a compressed RLE.
        boxes: ``[N, 4]``, the detected boxes, ``x, y, width, height``; see ``boxes_of_masks``.
        scores: ``[N]`` each, by the keys of ``SCORE_KINDS``: ``score``, the class score, and
            ``mask_iou`` and ``mask_score``; unknown ones are absent.
    """

    rows: Sequence[Row]
    boxes: Floats
    scores: Scores


def boxes_of_masks(rows: Sequence[Row]) -> Floats:
    """Return the bounding boxes of masks ``[N, 4]``, for detections without boxes of their own."""
    return as_boxes([rle_box(row["segmentation"]) for row in rows])


def as_boxes(values: Sequence[Sequence[float]]) -> Floats:
    """Return boxes as an array ``[N, 4]``, for any N."""
    return np.array(values, dtype=np.float64).reshape(-1, 4)


def detected_masks(rows: Mapping[str, Sequence[Row]]) -> DetectedMasks:
    """Return the masks of ``coco_eval.detection_rows``, with the boxes and all known scores.

    Args:
        rows: of ``bbox`` and ``segm``, and ``segm_by_class_score`` if there are mask scores.
    """
    masks, boxes = rows["segm"], rows["bbox"]
    values = {CLASS_SCORE.key: [row["score"] for row in boxes]}
    if SEGM_BY_CLASS_SCORE in rows:  # the others are ranked by mask score
        values[MASK_SCORE.key] = [row["score"] for row in masks]
        if all(MASK_IOU.key in row for row in masks):
            values[MASK_IOU.key] = [row[MASK_IOU.key] for row in masks]
    scores = {key: np.array(v, np.float64) for key, v in values.items()}
    return DetectedMasks(masks, as_boxes([row["bbox"] for row in boxes]), scores)


@dataclass(frozen=True)
class MatchedMasks:
    """N detected masks, each with the object of its class that it overlaps most.

    The box tells whether an object was found, however poor its mask is.

    Attributes:
        image_ids: object ``[N]``, ids of the annotation file.
        category_ids: object ``[N]``, ids of the annotation file.
        scores: see ``DetectedMasks``.
        areas: float ``[N]``, pixels.
        true_ious: float ``[N]``, mask IoU with the object; 0 without overlap.
        box_ious: float ``[N]``, the highest IoU of its box with that of an object of its class.
        annotations: int64 ``[N]``, index of the object in the annotations; without overlap of the
            masks, of the one with that highest IoU of boxes; -1 without overlap of boxes either.
        is_judged: bool ``[N]``, see ``BestObjects``.
    """

    image_ids: NDArray[np.object_]
    category_ids: NDArray[np.object_]
    scores: Scores
    areas: Floats
    true_ious: Floats
    box_ious: Floats
    annotations: NDArray[np.int64]
    is_judged: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.true_ious)

    def select(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> "MatchedMasks":
        """Return the chosen rows, given by a mask ``[N]`` or by indices."""
        return MatchedMasks(
            self.image_ids[chosen],
            self.category_ids[chosen],
            {key: values[chosen] for key, values in self.scores.items()},
            self.areas[chosen],
            self.true_ious[chosen],
            self.box_ious[chosen],
            self.annotations[chosen],
            self.is_judged[chosen],
        )


def match_masks(found: DetectedMasks, masks: MaskIous) -> MatchedMasks:
    """Return the masks with the objects that they overlap most.

    Args:
        found: the detections.
        masks: the same detections with their IoUs; those with ``any_class`` match objects of any
            class.
    """
    if unknown := set(found.scores) - set(SCORE_KINDS):
        raise ValueError(f"scores {sorted(unknown)} are unknown; known: {', '.join(SCORE_KINDS)}")
    best = masks.best_objects()
    box_ious, by_box = _best_boxes(found.boxes, masks)
    return MatchedMasks(
        _ids(found.rows, "image_id"),
        _ids(found.rows, "category_id"),
        found.scores,
        np.array(masks.areas, dtype=np.float64),
        best.ious,
        box_ious,
        np.where(best.annotations >= 0, best.annotations, by_box),
        best.is_judged,
    )


def _ids(rows: Sequence[Row], key: str) -> NDArray[np.object_]:
    ids = np.empty(len(rows), dtype=object)
    ids[:] = [row[key] for row in rows]
    return ids


def _best_boxes(boxes: Floats, masks: MaskIous) -> tuple[Floats, NDArray[np.int64]]:
    """Return the highest IoU of each box ``[N, 4]`` with those of objects, and the object."""
    annotations = masks.truth.coco.dataset["annotations"]
    ious, best = np.zeros(len(boxes)), np.full(len(boxes), -1, dtype=np.int64)
    for cell in masks.ious:
        objects = np.array([i for i in masks.objects[cell] if not annotations[i]["iscrowd"]])
        if len(objects):
            own = masks.detections[cell]
            targets = as_boxes([annotations[i]["bbox"] for i in objects])
            of_cell: Floats = coco_mask.iou(boxes[own], targets, [0] * len(objects))
            ious[own] = of_cell.max(axis=1)
            best[own] = objects[of_cell.argmax(axis=1)]
    best[ious == 0] = -1
    return ious, best
