"""COCO's metrics by pycocotools: boxes and keypoints by class score, masks by both scores."""

import contextlib
import io
import json
import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from maskrcnn_benchmark.evaluation.coco_evaluator import find_evaluator, run_evaluation
from maskrcnn_benchmark.evaluation.coco_format import (
    CocoStyleDataset,
    Row,
    bbox_rows,
    in_original_frame,
    keypoint_rows,
    ranked_by_class_score,
    segm_rows,
)
from maskrcnn_benchmark.evaluation.coco_results import (
    AP_METRICS,
    KEYPOINT_METRICS,
    PROPOSAL_AREAS,
    PROPOSAL_LIMITS,
    SEGM_BY_CLASS_SCORE,
    COCOResults,
    report_results,
)
from maskrcnn_benchmark.evaluation.ground_truth import (
    GroundTruth,
    keypoints_length,
    log_evaluated_instances,
    renumber_ground_truth,
)
from maskrcnn_benchmark.evaluation.keypoint_similarity import oks_sigmas
from maskrcnn_benchmark.evaluation.mask_quality import mask_quality
from maskrcnn_benchmark.evaluation.proposal_recall import evaluate_box_proposals
from maskrcnn_benchmark.evaluation.ranked_masks import EvaluatedMasks, evaluate_masks
from maskrcnn_benchmark.structures import fields
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.mask_paste import Masker

_TASKS = ("bbox", "segm", "keypoints")
_NO_DETECTIONS = (
    "There are no detections at all, so every AP is 0. Common causes: weights that were not "
    "loaded (see the log after loading); a different number or order of classes, channel order, "
    "pixel mean or image size than in training; training that diverged or was too short; "
    "MODEL.ROI_HEADS.SCORE_THRESH set too high."
)


def evaluate_coco(  # noqa: PLR0913 - settings by keyword
    dataset: CocoStyleDataset,
    predictions: Sequence[BoxList],
    *,
    iou_types: Sequence[str] = ("bbox",),
    box_only: bool = False,
    masker: Masker | None = None,
    evaluator: str = "pycocotools",
    evaluate_rows: Callable[[COCO, dict[str, list[Row]]], COCOResults] | None = None,
    receive_masks: Callable[[EvaluatedMasks], object] | None = None,
    output_folder: str | Path | None = None,
    expected_results: Sequence[Sequence[Any]] = (),
    expected_results_sigma_tol: float = 4,
    keypoint_sigmas: Sequence[float] = (),
) -> COCOResults:
    """Evaluate predictions, log the results and write the result files of the original.

    A data set without annotations, such as a test set, is not evaluated: the detections are
    written, and every result is -1.

    Args:
        dataset: the ground truth.
        predictions: one list per image in data set order, on the CPU: the model's output in the
            frame of the resized image, the result of ``to_original_frame``, or the ``detections``
            of a ``Prediction``.
        iou_types: ``bbox``, ``segm``, ``keypoints``. If the predictions have mask scores, ``segm``
            ranks the masks by them and ``segm_by_class_score`` ranks them by class score.
        box_only: whether to evaluate the recall of proposals instead.
        masker: pastes masks that are not pasted yet; None: the original's rule, threshold 0.5.
        evaluator: what computes the metrics of boxes and masks: ``pycocotools``, or ``fast``
            (faster-coco-eval).
        evaluate_rows: computes other metrics from ground truth and rows (see ``detection_rows``).
        receive_masks: called with what was computed of the masks, if ``segm`` is evaluated.
        output_folder: folder for ``bbox.json``, ``segm.json``, ``keypoints.json``,
            ``coco_results.pth`` (or ``box_proposals.pth``) and ``results.json``; None: no files.
        expected_results: see ``check_expected_results``.
        expected_results_sigma_tol: see ``check_expected_results``.
        keypoint_sigmas: see ``oks_sigmas``.
    """
    folder = None if output_folder is None else Path(output_folder)
    masker = Masker() if masker is None else masker
    rows = {} if box_only else detection_rows(dataset, predictions, iou_types, masker)
    if folder is not None:
        _write_rows(rows, folder)
    if not dataset.coco.anns:
        _warn_of_nothing_to_evaluate(rows, folder)
        return COCOResults(*rows) if rows else COCOResults("box_proposal")
    if box_only:
        results = _evaluate_proposals(dataset, predictions)
    else:
        evaluate = evaluate_rows or _make_evaluation(evaluator, keypoint_sigmas, receive_masks)
        results = evaluate(dataset.coco, rows)
    report_results(
        results,
        "box_proposals.pth" if box_only else "coco_results.pth",
        folder=folder,
        expected_results=expected_results,
        sigma_tol=expected_results_sigma_tol,
    )
    return results


def _make_evaluation(
    evaluator: str,
    keypoint_sigmas: Sequence[float],
    receive_masks: Callable[[EvaluatedMasks], object] | None,
) -> Callable[[COCO, dict[str, list[Row]]], COCOResults]:
    return partial(
        _evaluate_detections,
        evaluator=find_evaluator(evaluator),
        keypoint_sigmas=keypoint_sigmas,
        receive_masks=receive_masks,
    )


def detection_rows(
    dataset: CocoStyleDataset,
    predictions: Sequence[BoxList],
    iou_types: Sequence[str],
    masker: Masker,
) -> dict[str, list[Row]]:
    """Return the rows of COCO's JSON for each task, all in the same order.

    Arguments are those of ``evaluate_coco``.

    Raises:
        ValueError: a task is unknown, or the predictions lack what it evaluates.
    """
    unknown = set(iou_types) - set(_TASKS)
    if unknown:
        raise ValueError(f"iou_types must be among {', '.join(_TASKS)}; got {sorted(unknown)}")
    needs_masks = "segm" in iou_types
    found = list(in_original_frame(dataset, predictions, masker if needs_masks else None))
    boxes = bbox_rows(dataset, found)
    rows = {"bbox": boxes} if "bbox" in iou_types else {}
    if "keypoints" in iou_types:
        if not all(detections.has_field(fields.KEYPOINTS) for _, detections in found):
            raise ValueError("keypoints were requested, but the model predicts none")
        rows["keypoints"] = keypoint_rows(dataset, found)
    if not needs_masks:
        return rows
    if not all(detections.has_field(fields.RLES) for _, detections in found):
        raise ValueError("segm was requested, but the model predicts no masks (MODEL.MASK_ON)")
    rows["segm"] = segm_rows(dataset, found)
    if any(p.has_field(fields.MASK_SCORES) for p in predictions):
        rows[SEGM_BY_CLASS_SCORE] = ranked_by_class_score(rows["segm"], boxes)
    return rows


def run_coco_eval(
    truth: GroundTruth,
    rows: Sequence[Row],
    iou_type: str,
    evaluator: type[COCOeval] = COCOeval,
    *,
    keypoint_sigmas: NDArray[np.float64] | None = None,
) -> COCOeval:
    """Return the finished evaluation of ``rows``.

    Args:
        truth: the ground truth for this ``iou_type``.
        rows: as in COCO's JSON, with the ids of the file; may be empty.
        iou_type: ``bbox``, ``segm`` or ``keypoints``.
        evaluator: see ``find_evaluator``.
        keypoint_sigmas: see ``oks_sigmas``; required for ``keypoints``.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        # loadRes fails on an empty list
        detections = truth.coco.loadRes(truth.rows(rows)) if rows else COCO()
    evaluation = evaluator(truth.coco, detections, iou_type)
    if keypoint_sigmas is not None:
        evaluation.params.kpt_oks_sigmas = keypoint_sigmas
    run_evaluation(evaluation)
    return evaluation


def class_aps(evaluation: COCOeval) -> dict[str, float]:
    """Return the AP of each class by name (see ``class_names``); -1 without ground truth."""
    precision = evaluation.eval["precision"][:, :, :, 0, -1]  # [IoU thresholds, recalls, classes]
    aps: dict[str, float] = {}
    for index, category in enumerate(evaluation.cocoGt.loadCats(evaluation.params.catIds)):
        of_class = precision[:, :, index]
        known = of_class[of_class > -1]
        aps[category["name"]] = float(np.mean(known)) if known.size else -1.0
    return aps


def _make_sigmas(coco: COCO, rows: Sequence[Row], given: Sequence[float]) -> NDArray[np.float64]:
    """Return the sigmas of the keypoints, in which predictions and data set must agree."""
    known = keypoints_length(coco)
    for row in rows:
        if len(row["keypoints"]) != known:
            raise ValueError(
                f"the model predicts {len(row['keypoints']) // 3} keypoints, the data set has "
                f"{known // 3}"
            )
    return oks_sigmas(given, known // 3)


def _evaluate_detections(
    coco: COCO,
    rows: dict[str, list[Row]],
    evaluator: type[COCOeval],
    keypoint_sigmas: Sequence[float],
    receive_masks: Callable[[EvaluatedMasks], object] | None,
) -> COCOResults:
    if not any(rows.values()):
        logging.getLogger(__name__).warning(_NO_DETECTIONS)
    log_evaluated_instances(coco, list(rows))
    results = COCOResults(*rows)
    evaluations = _evaluations(coco, rows, evaluator, keypoint_sigmas, receive_masks)
    for task, evaluation in evaluations.items():
        metrics = KEYPOINT_METRICS if task == "keypoints" else AP_METRICS
        stats = evaluation.stats[: len(metrics)].tolist()
        results.results[task] = dict(zip(metrics, stats, strict=True))
        results.per_class[task] = class_aps(evaluation)
    has_mask_ious = all(fields.MASK_IOU.key in row for row in rows.get("segm", ()))
    if SEGM_BY_CLASS_SCORE in rows and "bbox" in rows and has_mask_ious:
        results.mask_quality = mask_quality(coco, rows["bbox"], rows["segm"])
    return results


def _evaluations(
    coco: COCO,
    rows: dict[str, list[Row]],
    evaluator: type[COCOeval],
    keypoint_sigmas: Sequence[float],
    receive_masks: Callable[[EvaluatedMasks], object] | None,
) -> dict[str, COCOeval]:
    """Return the finished evaluation of each task."""
    evaluations = {}
    if "bbox" in rows:
        truth = renumber_ground_truth(coco, "bbox")
        evaluations["bbox"] = run_coco_eval(truth, rows["bbox"], "bbox", evaluator)
    if "segm" in rows:
        evaluations |= evaluate_masks(coco, rows, evaluator, receive_masks)
    if "keypoints" in rows:
        sigmas = _make_sigmas(coco, rows["keypoints"], keypoint_sigmas)
        truth = renumber_ground_truth(coco, "keypoints")
        evaluations["keypoints"] = run_coco_eval(
            truth, rows["keypoints"], "keypoints", keypoint_sigmas=sigmas
        )
    return evaluations


def _evaluate_proposals(dataset: CocoStyleDataset, predictions: Sequence[BoxList]) -> COCOResults:
    results = COCOResults("box_proposal")
    for limit in PROPOSAL_LIMITS:
        for area, suffix in PROPOSAL_AREAS.items():
            recall = evaluate_box_proposals(dataset, predictions, area=area, limit=limit)
            results["box_proposal"][f"AR{suffix}@{limit}"] = recall.ar
    return results


def _warn_of_nothing_to_evaluate(rows: dict[str, list[Row]], folder: Path | None) -> None:
    written = ", ".join(f"{folder / task}.json" for task in _written(rows)) if folder else ""
    logging.getLogger(__name__).warning(
        "The data set has no annotations: nothing is evaluated. Detections are in "
        f"{written or 'no file'}"
    )


def _write_rows(rows: dict[str, list[Row]], folder: Path) -> None:
    """Write ``bbox.json`` and so on row by row to save memory."""
    folder.mkdir(parents=True, exist_ok=True)
    for task in _written(rows):
        with (folder / f"{task}.json").open("w", encoding="utf-8") as file:
            file.write("[")
            for index, row in enumerate(rows[task]):
                file.write(f"{', ' if index else ''}{json.dumps(row)}")
            file.write("]")


def _written(rows: dict[str, list[Row]]) -> list[str]:
    """Return the tasks whose rows are written; a server ranks rows by the score in the file."""
    return [task for task in _TASKS if task in rows]
