"""Correlation of the predicted with the true mask IoU: how well masks are scored."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from maskrcnn_benchmark.evaluation.coco_format import Row
from maskrcnn_benchmark.evaluation.ground_truth import has_mask
from maskrcnn_benchmark.structures.fields import MASK_IOU
from maskrcnn_benchmark.structures.rle import Rle, to_rle

Floats = NDArray[np.float64]
Quality = dict[str, dict[str, float]]

_IOU_THRESHOLD = 0.5  # minimum box IoU of a detection that matches an object
_SCORE_THRESHOLD = 0.5  # minimum class score of a confident detection
_NO_OVERLAP = -1  # in place of the index of a ground truth


def pearson(x: Floats, y: Floats) -> float:
    """Return the linear correlation of ``x [N]`` and ``y [N]``, NaN if N < 2 or one is constant."""
    if len(x) < 2:
        return float("nan")
    dx, dy = x - x.mean(), y - y.mean()
    norm = np.sqrt((dx**2).sum() * (dy**2).sum())
    return float((dx * dy).sum() / norm) if norm > 0 else float("nan")


def spearman(x: Floats, y: Floats) -> float:
    """Return the rank correlation of ``x [N]`` and ``y [N]``; equal values share a mean rank."""
    return pearson(_ranks(x), _ranks(y))


def _ranks(values: Floats) -> Floats:
    """Return the rank, from 1, of each value ``[N]``; the mean rank for equal ones."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean_rank: Floats = last - (counts - 1) / 2.0
    return mean_rank[inverse]


def mask_quality(coco: COCO, bbox: Sequence[Row], segm: Sequence[Row]) -> Quality:
    """Compare predicted with true mask IoUs, for all detections and for confident ones.

    A detection is matched to the ground truth (of any class, not a crowd) with the highest box IoU.
    In an image without ground truth, its true IoU is 0. If the matched ground truth has no mask,
    the true IoU is unknown and the detection is left out.

    Args:
        coco: the ground truth.
        bbox: box rows of ``coco_format``, with class scores.
        segm: mask rows in the same order, with predicted mask IoUs.

    Returns:
        For each group of detections: ``count``, ``pearson``, ``spearman``,
        ``class_score_pearson`` (all with the true mask IoU), ``mean_predicted``, ``mean_true``.
    """
    class_score = np.array([row["score"] for row in bbox], dtype=np.float64)
    predicted = np.array([row[MASK_IOU.key] for row in segm], dtype=np.float64)
    box_iou, true = _true_ious(coco, bbox, segm)
    known = ~np.isnan(true)
    found = known & (box_iou > _IOU_THRESHOLD)
    groups = {
        "all": known,
        "box IoU > 0.5": found,
        "box IoU > 0.5 and class score > 0.5": found & (class_score > _SCORE_THRESHOLD),
    }
    return {
        name: _compare(predicted[chosen], true[chosen], class_score[chosen])
        for name, chosen in groups.items()
    }


def _compare(predicted: Floats, true: Floats, class_score: Floats) -> dict[str, float]:
    count = len(true)
    return {
        "count": count,
        "pearson": pearson(predicted, true),
        "spearman": spearman(predicted, true),
        "class_score_pearson": pearson(class_score, true),
        "mean_predicted": float(predicted.mean()) if count else float("nan"),
        "mean_true": float(true.mean()) if count else float("nan"),
    }


def _true_ious(coco: COCO, bbox: Sequence[Row], segm: Sequence[Row]) -> tuple[Floats, Floats]:
    """Return the box IoU and the mask IoU ``[N]`` of each detection with its ground truth.

    The latter is NaN where the ground truth has no mask.
    """
    rows_of_image: dict[int, list[int]] = defaultdict(list)
    for index, row in enumerate(bbox):
        rows_of_image[row["image_id"]].append(index)
    box_ious, mask_ious = np.zeros(len(bbox)), np.zeros(len(bbox))
    for image_id, rows in rows_of_image.items():
        gt = coco.loadAnns(coco.getAnnIds(imgIds=[image_id], iscrowd=False))
        if not gt:
            continue
        boxes = np.array([bbox[i]["bbox"] for i in rows], dtype=np.float64)
        gt_boxes = np.array([a["bbox"] for a in gt], dtype=np.float64)
        overlaps: Floats = coco_mask.iou(boxes, gt_boxes, [0] * len(gt))
        best = overlaps.argmax(axis=1)
        box_ious[rows] = overlaps.max(axis=1)
        size = (coco.imgs[image_id]["height"], coco.imgs[image_id]["width"])
        masks = [segm[i]["segmentation"] for i in rows]
        which = np.where(box_ious[rows] > 0, best, _NO_OVERLAP)
        mask_ious[rows] = _paired_mask_ious(masks, gt, which, size)
    return box_ious, mask_ious


def _paired_mask_ious(
    masks: Sequence[Rle], gt: Sequence[Row], which: NDArray[np.int64], size: tuple[int, int]
) -> Floats:
    """Return the IoU of each mask with the ``which``-th of ``gt``; NaN if that has no mask.

    It is 0 for ``_NO_OVERLAP``. ``size`` is (height, width).
    """
    ious = np.zeros(len(masks))
    for index in set(which.tolist()) - {_NO_OVERLAP}:
        own = np.flatnonzero(which == index).tolist()
        if has_mask(gt[index]):
            target = to_rle(gt[index]["segmentation"], *size)
            ious[own] = coco_mask.iou([masks[i] for i in own], [target], [0])[:, 0]
        else:
            ious[own] = np.nan
    return ious
