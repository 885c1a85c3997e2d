"""Detected masks that are evaluated by several rankings: areas and IoUs are computed once."""

import contextlib
import io
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from maskrcnn_benchmark.evaluation.coco_evaluator import run_evaluation
from maskrcnn_benchmark.evaluation.coco_format import Row
from maskrcnn_benchmark.evaluation.ground_truth import GroundTruth
from maskrcnn_benchmark.structures.rle import rle_areas, to_rle

Cell = tuple[int, int]  # image id, category id


class RankedMasks:
    """Detected masks with their areas and IoUs, to be evaluated by any scores.

    Args:
        truth: the ground truth for ``segm``.
        rows: mask rows of ``coco_format``, with the ids of the file.
    """

    def __init__(self, truth: GroundTruth, rows: Sequence[Row]) -> None:
        self._truth = truth
        self._rows = truth.rows(rows)
        self._areas = rle_areas([row["segmentation"] for row in rows]).tolist()
        self._detections: dict[Cell, list[int]] = defaultdict(list)  # indices of rows
        for index, row in enumerate(self._rows):
            self._detections[row["image_id"], row["category_id"]].append(index)
        self._ious = self._all_ious()  # [detections, ground truths] of each cell, in file order

    def evaluate(self, scores: Sequence[float], evaluator: type[COCOeval]) -> COCOeval:
        """Return the finished evaluation of the masks ranked by ``scores``.

        Args:
            scores: a score per row.
            evaluator: see ``find_evaluator``.
        """
        # the IoUs are given, so neither masks nor boxes are read: as boxes, nothing is decoded
        evaluation = evaluator(self._truth.coco, self._scored(scores), "bbox")
        ranks = np.asarray(scores, dtype=np.float64)
        most = evaluation.params.maxDets[-1]

        def ious(image_id: int, category_id: int) -> Any:
            """Return the IoUs of the detections that COCO evaluates, the best score first."""
            cell = self._ious.get((image_id, category_id))
            if cell is None:
                return []
            own = ranks[self._detections[image_id, category_id]]
            return cell[np.argsort(-own, kind="stable")[:most]]

        evaluation.computeIoU = ious
        run_evaluation(evaluation)
        return evaluation

    def _scored(self, scores: Sequence[float]) -> COCO:
        detections = COCO()
        detections.dataset = {
            "images": self._truth.coco.dataset["images"],
            "categories": self._truth.coco.dataset["categories"],
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
                    zip(self._rows, self._areas, scores, strict=True), 1
                )
            ],
        }
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
            detections.createIndex()
        return detections

    def _all_ious(self) -> dict[Cell, NDArray[np.float64]]:
        """Return the IoUs of each cell that has both detections and ground truth."""
        objects: dict[Cell, list[Row]] = defaultdict(list)
        for annotation in self._truth.coco.dataset["annotations"]:
            objects[annotation["image_id"], annotation["category_id"]].append(annotation)
        ious = {}
        for cell, gt in objects.items():
            if cell not in self._detections:
                continue
            image = self._truth.coco.imgs[cell[0]]
            height, width = image["height"], image["width"]
            ious[cell] = coco_mask.iou(
                [self._rows[index]["segmentation"] for index in self._detections[cell]],
                [to_rle(one["segmentation"], height, width) for one in gt],
                [one["iscrowd"] for one in gt],
            )
        return ious
