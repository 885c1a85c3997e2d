"""The results of two models, and what of them can be compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from maskrcnn_benchmark.evaluation.coco_eval import run_coco_eval
from maskrcnn_benchmark.evaluation.coco_results import SEGM_BY_CLASS_SCORE
from maskrcnn_benchmark.evaluation.ground_truth import renumber_ground_truth
from maskrcnn_benchmark.evaluation.mask_ious import MaskIous
from maskrcnn_benchmark.evaluation.matched_masks import DetectedMasks
from maskrcnn_benchmark.evaluation.ranked_masks import RankedMasks
from maskrcnn_benchmark.report.detections import detected_kinds, read_boxes, read_detections
from maskrcnn_benchmark.structures.fields import CLASS_SCORE, MASK_SCORE

Row = dict[str, Any]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ModelResult:
    """The detections of a model.

    Attributes:
        name: shown in the report.
        path: where they were read.
        coco: the annotations.
        boxes: rows with ``bbox`` and ``score``; None: the file has no boxes.
        masks: the masks; None: the file has no masks.
    """

    name: str
    path: Path
    coco: COCO
    boxes: list[Row] | None
    masks: DetectedMasks | None

    @property
    def has_mask_scores(self) -> bool:
        """Whether the masks have mask scores."""
        return self.masks is not None and MASK_SCORE.key in self.masks.scores

    @property
    def has_class_scores(self) -> bool:
        """Whether the masks have class scores."""
        return self.masks is not None and CLASS_SCORE.key in self.masks.scores

    def scores(self, task: str) -> Floats:
        """Return the scores ``[N]`` that rank the detections in a task.

        Masks are ranked by mask score in ``segm``, if they have one.
        """
        if task == "bbox":
            return np.array([row["score"] for row in self.boxes or ()], dtype=np.float64)
        assert self.masks is not None
        by_mask_score = self.has_mask_scores and task != SEGM_BY_CLASS_SCORE
        return self.masks.scores[(MASK_SCORE if by_mask_score else CLASS_SCORE).key]

    def evaluate(self, task: str) -> COCOeval:
        """Return the finished evaluation of a task by pycocotools."""
        if task == "bbox":
            return run_coco_eval(renumber_ground_truth(self.coco, "bbox"), self.boxes or [], "bbox")
        scores = self.scores(task).tolist()
        return self._ranked_masks.evaluate(scores, COCOeval, keep_matches=True)

    @cached_property
    def _ranked_masks(self) -> RankedMasks:
        assert self.masks is not None
        return RankedMasks(MaskIous(renumber_ground_truth(self.coco, "segm"), self.masks.rows))


def read_model(path: str | Path, name: str, coco: COCO) -> ModelResult:
    """Return the result in a file or folder, see ``report.detections``.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it cannot be read, or belongs to other annotations.
    """
    kinds = detected_kinds(path)
    boxes = read_boxes(path, coco) if "bbox" in kinds else None
    masks = read_detections(path, coco) if "segm" in kinds else None
    return ModelResult(name, Path(path), coco, boxes, masks)


def common_tasks(a: ModelResult, b: ModelResult) -> dict[str, str]:
    """Return the tasks in which two models can be compared, each with its title.

    Raises:
        ValueError: there is none.
    """
    tasks = {}
    if a.boxes is not None and b.boxes is not None:
        tasks["bbox"] = "boxes"
    if a.masks is not None and b.masks is not None:
        if a.has_mask_scores or b.has_mask_scores:
            tasks["segm"] = "masks ranked by mask score"
            if a.has_class_scores and b.has_class_scores:
                tasks[SEGM_BY_CLASS_SCORE] = "masks ranked by class score"
        else:
            tasks["segm"] = "masks ranked by the score of the file"
    if not tasks:
        raise ValueError(
            f"{a.path} and {b.path} cannot be compared: one has boxes only, the other masks only"
        )
    return tasks


def names_of(paths: Sequence[Path]) -> list[str]:
    """Return short names of two results: the last part in which their paths differ.

    They are ``A`` and ``B`` if there is none.
    """
    parts = [list(reversed(path.absolute().with_suffix("").parts)) for path in paths]
    same = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(*parts, strict=False))))
    if any(len(own) <= same for own in parts):
        return ["A", "B"]
    return [own[same] for own in parts]
