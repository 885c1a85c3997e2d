"""Detected masks in columns: all their scores, and the annotated object that each one overlaps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskrcnn_benchmark.evaluation.coco_format import Row
from maskrcnn_benchmark.evaluation.mask_ious import Floats, MaskIous
from maskrcnn_benchmark.structures.fields import CLASS_SCORE, MASK_IOU, MASK_SCORE, SCORE_KINDS
from maskrcnn_benchmark.structures.rle import rle_box

Scores = Mapping[str, Floats]


@dataclass(frozen=True)
class DetectedMasks:
    """N detected masks, as read from a file or made by a model.

    Attributes:
        rows: N dicts with ``image_id``, ``category_id`` and ``segmentation``, a compressed RLE.
        scores: ``[N]`` each, by the keys of ``SCORE_KINDS``: ``score``, the class score, and
            ``mask_iou`` and ``mask_score``; unknown ones are absent.
    """

    rows: Sequence[Row]
    scores: Scores


def detected_masks(rows: Mapping[str, Sequence[Row]]) -> DetectedMasks:
    """Return the masks of ``coco_eval.detection_rows``, computed with ``bbox`` and ``segm``."""
    masks, boxes = rows["segm"], rows["bbox"]
    values = {CLASS_SCORE.key: [row["score"] for row in boxes]}
    if masks and all(MASK_IOU.key in row for row in masks):
        values[MASK_IOU.key] = [row[MASK_IOU.key] for row in masks]
        values[MASK_SCORE.key] = [row["score"] for row in masks]
    return DetectedMasks(masks, {key: np.array(v, np.float64) for key, v in values.items()})


@dataclass(frozen=True)
class MatchedMasks:
    """N detected masks, each with the object of its class that it overlaps most.

    Attributes:
        image_ids: object ``[N]``, ids of the annotation file.
        category_ids: object ``[N]``, ids of the annotation file.
        scores: see ``DetectedMasks``.
        areas: float ``[N]``, pixels.
        true_ious: float ``[N]``, mask IoU with the object; 0 without overlap.
        box_ious: float ``[N]``, IoU of the bounding boxes of mask and object; 0 without overlap.
        annotations: int64 ``[N]``, index of the object in the annotations; -1 without overlap.
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
    return MatchedMasks(
        _ids(found.rows, "image_id"),
        _ids(found.rows, "category_id"),
        found.scores,
        np.array(masks.areas, dtype=np.float64),
        best.ious,
        _box_ious(found.rows, masks, best.annotations),
        best.annotations,
        best.is_judged,
    )


def _ids(rows: Sequence[Row], key: str) -> NDArray[np.object_]:
    ids = np.empty(len(rows), dtype=object)
    ids[:] = [row[key] for row in rows]
    return ids


def _box_ious(rows: Sequence[Row], masks: MaskIous, annotations: NDArray[np.int64]) -> Floats:
    """Return the IoU of the bounding box of each mask with the box of its annotation."""
    objects = masks.truth.coco.dataset["annotations"]
    matched = np.flatnonzero(annotations >= 0)
    boxes = np.array([rle_box(rows[i]["segmentation"]) for i in matched.tolist()]).reshape(-1, 4)
    targets = np.array([objects[i]["bbox"] for i in annotations[matched].tolist()], np.float64)
    ious = np.zeros(len(rows))
    ious[matched] = _aligned_box_ious(boxes, targets.reshape(-1, 4))
    return ious


def _aligned_box_ious(a: Floats, b: Floats) -> Floats:
    """Return the IoU of each pair of continuous boxes ``[N, 4]``: x, y, width, height."""
    sides = np.minimum(a[:, :2] + a[:, 2:], b[:, :2] + b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    shared = sides.clip(0).prod(axis=1)
    union: Floats = a[:, 2:].prod(axis=1) + b[:, 2:].prod(axis=1) - shared
    return np.divide(shared, union, out=np.zeros_like(union), where=union > 0)
