"""Detected masks that are evaluated by several rankings: areas and IoUs are computed once."""

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from maskrcnn_benchmark.evaluation.coco_evaluator import run_evaluation
from maskrcnn_benchmark.evaluation.mask_ious import MaskIous


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
