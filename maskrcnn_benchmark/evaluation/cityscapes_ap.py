"""Average precision of instances as Cityscapes defines it, and as maskrcnn-benchmark matches them.

Shapes: G ground truths and P predictions of one image, T overlap thresholds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

OVERLAPS = np.arange(0.5, 1.0, 0.05)
MIN_REGION = 100  # pixels; smaller ground truth is ignored


@dataclass(frozen=True)
class Overlaps:
    """Ground truth and predictions of one image.

    Attributes:
        gt_labels: class of each ground truth, ``[G]``.
        gt_sizes: its number of pixels.
        labels: class of each prediction, ``[P]``.
        scores: its score.
        sizes: its number of pixels, above 0.
        intersections: number of pixels that a ground truth and a prediction share, ``[G, P]``.
    """

    gt_labels: Ints
    gt_sizes: Ints
    labels: Ints
    scores: Floats
    sizes: Ints
    intersections: Ints

    def ious(self) -> Floats:
        """Return the IoU of each pair, ``[G, P]``."""
        unions = self.gt_sizes[:, None] + self.sizes - self.intersections
        found: Floats = self.intersections / np.maximum(unions, 1)
        return found


def average_precisions(images: Sequence[Overlaps], label: int) -> Floats:
    """Return the AP of a class at each of ``OVERLAPS``, ``[T]``; NaN without ground truth.

    Args:
        images: all images.
        label: the class.
    """
    return np.array([_average_precision(images, label, overlap) for overlap in OVERLAPS])


def _average_precision(images: Sequence[Overlaps], label: int, overlap: float) -> float:
    outcomes = [_outcomes(image, label, overlap) for image in images]
    is_true = np.concatenate([true for true, _, _ in outcomes] or [np.zeros(0, dtype=bool)])
    scores = np.concatenate([scores for _, scores, _ in outcomes] or [np.zeros(0)])
    missed = sum(number for _, _, number in outcomes)
    has_gt = any(((i.gt_labels == label) & (i.gt_sizes >= MIN_REGION)).any() for i in images)
    if not has_gt:
        return float("nan")
    if not any((image.labels == label).any() for image in images):
        return 0.0
    return step_area(is_true, scores, missed)


def _outcomes(image: Overlaps, label: int, overlap: float) -> tuple[NDArray[np.bool_], Floats, int]:
    """Return the true and false positives of a class in one image, and the missed ground truth.

    Legacy: the class is not compared. A ground truth may be found by a prediction of any class,
    and a prediction that overlaps a ground truth of another class is not counted.
    """
    matches = image.ious() > overlap  # [G, P]
    is_small = image.gt_sizes < MIN_REGION
    is_true: list[bool] = []
    scores: list[float] = []
    missed = 0
    for row in np.flatnonzero((image.gt_labels == label) & ~is_small):
        found = np.sort(image.scores[matches[row]])[::-1]
        missed += int(len(found) == 0)
        is_true += [True, *[False] * (len(found) - 1)][: len(found)]  # the best one is right
        scores += found.tolist()
    ignored = image.intersections[is_small].sum(axis=0) / image.sizes
    wrong = (image.labels == label) & ~matches.any(axis=0) & (ignored <= overlap)
    scores += image.scores[wrong].tolist()
    is_true += [False] * int(wrong.sum())
    return np.array(is_true, dtype=bool), np.array(scores, dtype=np.float64), missed


def step_area(is_true: NDArray[np.bool_], scores: Floats, missed: int) -> float:
    """Return the area under the precision of Cityscapes' steps of recall.

    Each score is a point of the curve, and recall 0 with precision 1 another; a point counts for
    half of the recall between its two neighbors.

    Args:
        is_true: whether a detection is a true positive, ``[N]``.
        scores: its score.
        missed: number of ground truths without a detection.
    """
    order = np.argsort(scores, kind="stable")
    starts = np.unique(scores[order], return_index=True)[1]
    hits = is_true[order][::-1].cumsum()[::-1][starts]  # of detections with at least this score
    counts = len(scores) - starts
    total = int(is_true.sum()) + missed
    precision = np.append(hits / counts, 1.0)
    recall = np.append(hits / max(total, 1), 0.0)
    ends = np.concatenate([recall[:1], recall, [0.0]])
    return float(precision @ (0.5 * (ends[:-2] - ends[2:])))
