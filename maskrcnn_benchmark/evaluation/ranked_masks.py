"""Detected masks that are evaluated by several rankings: areas and IoUs are computed once."""

import contextlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from maskrcnn_benchmark.evaluation.coco_evaluator import run_evaluation
from maskrcnn_benchmark.evaluation.coco_format import Row
from maskrcnn_benchmark.evaluation.coco_results import SEGM_BY_CLASS_SCORE
from maskrcnn_benchmark.evaluation.ground_truth import renumber_ground_truth
from maskrcnn_benchmark.evaluation.mask_ious import MaskIous
from maskrcnn_benchmark.evaluation.matched_masks import DetectedMasks, detected_masks
from maskrcnn_benchmark.structures.fields import CLASS_SCORE, MASK_SCORE


class RankedMasks:
    """Detected masks, to be evaluated by any scores.

    Args:
        masks: the masks and their IoUs with the objects of their class.
    """

    def __init__(self, masks: MaskIous) -> None:
        self._masks = masks

    def evaluate(self, scores: Sequence[float], evaluator: type[COCOeval]) -> COCOeval:
        """Return the finished evaluation of the masks ranked by ``scores``.

        Args:
            scores: a score per row.
            evaluator: see ``find_evaluator``.
        """
        masks = self._masks
        # the IoUs are given, so neither masks nor boxes are read: as boxes, nothing is decoded
        evaluation = evaluator(masks.truth.coco, self._scored(scores), "bbox")
        ranks = np.asarray(scores, dtype=np.float64)
        most = evaluation.params.maxDets[-1]

        def ious(image_id: int, category_id: int) -> Any:
            """Return the IoUs of the detections that COCO evaluates, the best score first."""
            cell = masks.ious.get((image_id, category_id))
            if cell is None:
                return []
            own = ranks[masks.detections[image_id, category_id]]
            return cell[np.argsort(-own, kind="stable")[:most]]

        evaluation.computeIoU = ious
        run_evaluation(evaluation)
        return evaluation

    def _scored(self, scores: Sequence[float]) -> COCO:
        dataset = self._masks.truth.coco.dataset
        detections = COCO()
        detections.dataset = {
            "images": dataset["images"],
            "categories": dataset["categories"],
            "annotations": [
                {
                    "id": number,
                    "image_id": row["image_id"],
                    "category_id": row["category_id"],
                    "area": area,
                    "iscrowd": 0,
                    "score": score,
                }
                for number, (row, area, score) in enumerate(
                    zip(self._masks.rows, self._masks.areas, scores, strict=True), 1
                )
            ],
        }
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
            detections.createIndex()
        return detections


@dataclass(frozen=True)
class EvaluatedMasks:
    """Detected masks with what an evaluation computed of them.

    Attributes:
        coco: the annotations.
        found: the detections.
        masks: their IoUs with the objects of their class.
        evaluator: what evaluates a ranking.
        evaluations: the finished evaluations, by the key of the score that ranks.
    """

    coco: COCO
    found: DetectedMasks
    masks: MaskIous
    evaluator: type[COCOeval] = COCOeval
    evaluations: Mapping[str, COCOeval] = field(default_factory=dict)


def evaluate_masks(
    coco: COCO,
    rows: Mapping[str, Sequence[Row]],
    evaluator: type[COCOeval],
    receive_masks: Callable[[EvaluatedMasks], object] | None = None,
) -> dict[str, COCOeval]:
    """Return the finished evaluation of each ranking of the masks, by task.

    Args:
        coco: the annotations.
        rows: see ``coco_eval.detection_rows``.
        evaluator: see ``find_evaluator``.
        receive_masks: called with all that was computed; ``rows`` then need ``bbox``.
    """
    masks = MaskIous(renumber_ground_truth(coco, "segm"), rows["segm"])
    ranked = RankedMasks(masks)
    evaluations = {}
    for task in ("segm", SEGM_BY_CLASS_SCORE):
        if task in rows:
            scores = [row["score"] for row in rows[task]]
            evaluations[task] = ranked.evaluate(scores, evaluator)
    if receive_masks is not None:
        by_class = SEGM_BY_CLASS_SCORE if SEGM_BY_CLASS_SCORE in rows else "segm"
        by_key = {CLASS_SCORE.key: evaluations[by_class]}
        by_key |= {MASK_SCORE.key: evaluations["segm"]} if by_class != "segm" else {}
        found = detected_masks(rows)
        receive_masks(EvaluatedMasks(coco, found, masks, evaluator, by_key))
    return evaluations
