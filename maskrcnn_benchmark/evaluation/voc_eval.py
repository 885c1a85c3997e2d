"""PASCAL VOC's average precision of boxes at one IoU threshold."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from maskrcnn_benchmark.evaluation.coco_results import VOC_METRIC, COCOResults, report_results
from maskrcnn_benchmark.structures import fields
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.box_ops import box_iou

Floats = NDArray[np.float64]

_IOU = 0.5
_IGNORED = -1  # a detection of a difficult object


class VOCStyleDataset(Protocol):
    """Interface of a data set for VOC evaluation.

    Attributes:
        class_names: name of each label; index 0 is the background.
    """

    class_names: Sequence[str]

    def get_groundtruth(self, index: int) -> BoxList:
        """Return the boxes in pixels of the original image, with ``labels`` and ``difficult``."""
        ...


class Curve(NamedTuple):
    """The precision-recall curve of a class, over its detections in descending order of score.

    Attributes:
        precision: ``[N]``; NaN before the first detection that is not ignored.
        recall: ``[N]``; None without ground truth.
    """

    precision: Floats
    recall: Floats | None


def evaluate_voc(
    dataset: VOCStyleDataset,
    predictions: Sequence[BoxList],
    *,
    iou_types: Sequence[str] = ("bbox",),
    box_only: bool = False,
    output_folder: str | Path | None = None,
    expected_results: Sequence[Sequence[Any]] = (),
    expected_results_sigma_tol: float = 4,
) -> COCOResults:
    """Evaluate boxes by VOC 2007's metric: 11-point interpolated mAP at IoU 0.5.

    Args:
        dataset: the ground truth.
        predictions: one list per image in data set order, on the CPU, in the frame of the resized
            or the original image, with ``labels`` and ``scores``.
        iou_types: must include ``bbox``; masks are not evaluated, as VOC has no ground truth masks.
        box_only: not supported by this metric.
        output_folder: folder for ``voc_results.pth`` and ``results.json``; None: no files.
        expected_results: see ``check_expected_results``.
        expected_results_sigma_tol: see ``check_expected_results``.

    Returns:
        ``results["voc"]["mAP"]``, and the AP of each class in ``per_class["voc"]``.

    Raises:
        ValueError: ``box_only`` is set, or ``bbox`` is not requested.
    """
    if box_only or "bbox" not in iou_types:
        raise ValueError(
            "VOC's metric evaluates detected boxes only: use a data set *_cocostyle instead"
        )
    ground_truths = [dataset.get_groundtruth(index) for index in range(len(predictions))]
    resized = [boxes.resize(gt.size) for boxes, gt in zip(predictions, ground_truths, strict=True)]
    curves = precision_recall(ground_truths, resized, _IOU)
    results = COCOResults(VOC_METRIC)
    aps = {
        name: average_precision(curves[label], eleven_points=True) if label in curves else np.nan
        for label, name in enumerate(dataset.class_names)
        if label
    }
    results.per_class[VOC_METRIC] = {name: _known(ap) for name, ap in aps.items()}
    found = [ap for ap in aps.values() if not np.isnan(ap)]
    results[VOC_METRIC]["mAP"] = float(np.mean(found)) if found else -1.0
    report_results(
        results,
        "voc_results.pth",
        folder=output_folder,
        expected_results=expected_results,
        sigma_tol=expected_results_sigma_tol,
    )
    return results


def _known(value: float) -> float:
    """Replace NaN by -1, as COCO's metrics do."""
    return -1.0 if np.isnan(value) else float(value)


def precision_recall(
    ground_truths: Sequence[BoxList], predictions: Sequence[BoxList], iou_threshold: float
) -> dict[int, Curve]:
    """Return the precision-recall curve of each label that occurs.

    In each image, detections in descending order of score are matched to the ground truth of their
    class that they overlap most. The first match is a true positive, later ones are false
    positives. Difficult ground truth and its detections are ignored.

    Args:
        ground_truths: one list per image, in pixels, with ``labels`` and ``difficult``.
        predictions: one list per image, in the same frame, with ``labels`` and ``scores``.
        iou_threshold: minimum IoU of a match.
    """
    scores: dict[int, list[float]] = defaultdict(list)
    outcomes: dict[int, list[int]] = defaultdict(list)
    to_find: dict[int, int] = defaultdict(int)
    for gt, predicted in zip(ground_truths, predictions, strict=True):
        gt_labels, labels = gt.get_field(fields.LABELS), predicted.get_field(fields.LABELS)
        for label in {*gt_labels.tolist(), *labels.tolist()}:
            of_gt, of_predicted = gt[gt_labels == label], predicted[labels == label]
            order = of_predicted.get_field(fields.SCORES).argsort(descending=True, stable=True)
            of_predicted = of_predicted[order]
            to_find[label] += int((~of_gt.get_field(fields.DIFFICULT).bool()).sum())
            scores[label] += of_predicted.get_field(fields.SCORES).tolist()
            outcomes[label] += _outcomes(of_gt, of_predicted, iou_threshold)
    return {n: _curve(scores[n], outcomes[n], count) for n, count in to_find.items()}


def _outcomes(gt: BoxList, predicted: BoxList, iou_threshold: float) -> list[int]:
    """Return 1 (true positive), 0 (false positive) or ``_IGNORED`` per detection, in order."""
    if len(gt) == 0:
        return [0] * len(predicted)
    # legacy: in the inclusive convention one pixel is added to the boxes, and the IoU adds another
    best, which = box_iou(predicted.xyxy(), gt.xyxy(), 2 * gt.pixel_offset).max(dim=1)
    difficult = gt.get_field(fields.DIFFICULT).tolist()
    outcomes, taken = [], set()
    for iou, index in zip(best.tolist(), which.tolist(), strict=True):
        if iou < iou_threshold:
            outcomes.append(0)
            continue
        outcomes.append(_IGNORED if difficult[index] else int(index not in taken))
        taken.add(index)
    return outcomes


def _curve(scores: Sequence[float], outcomes: Sequence[int], to_find: int) -> Curve:
    order = np.argsort(-np.array(scores), kind="stable")
    outcome = np.array(outcomes, dtype=np.int64)[order]
    right, wrong = np.cumsum(outcome == 1), np.cumsum(outcome == 0)
    with np.errstate(invalid="ignore"):
        precision = right / (right + wrong)
    return Curve(precision, right / to_find if to_find else None)


def average_precision(curve: Curve, *, eleven_points: bool) -> float:
    """Return the area under a curve; NaN without ground truth.

    Args:
        curve: curve of one class.
        eleven_points: VOC 2007's mean over 11 recalls; otherwise the exact area, as in later years.
    """
    if curve.recall is None:
        return float("nan")
    precision = np.nan_to_num(curve.precision)
    if eleven_points:
        best = [
            max(precision[curve.recall >= recall], default=0.0)
            for recall in np.arange(0.0, 1.1, 0.1)
        ]
        return float(np.mean(best))
    recall = np.concatenate([[0.0], curve.recall, [1.0]])
    envelope = np.concatenate([[0.0], precision, [0.0]])
    envelope = np.maximum.accumulate(envelope[::-1])[::-1]
    return float(np.sum(np.diff(recall) * envelope[1:]))
