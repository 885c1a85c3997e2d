"""Detected masks and annotated objects: their IoUs are computed once, for all that needs them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from maskrcnn_benchmark.evaluation.coco_format import Row
from maskrcnn_benchmark.evaluation.ground_truth import GroundTruth
from maskrcnn_benchmark.structures.rle import rle_areas, to_rle

Floats = NDArray[np.float64]
Cell = tuple[int, int]  # image id, category id
ANY_CLASS = 0  # the category id of all cells if classes are not told apart

# a mask that lies in a region by more than this, and overlaps no object by more, is not judged
_IGNORED_SHARE = 0.5


@dataclass(frozen=True)
class BestObjects:
    """The object that each of N masks overlaps most.

    Attributes:
        ious: ``[N]``, the mask IoU with it; 0 without overlap.
        annotations: int64 ``[N]``, its index in the annotations of the ground truth; -1 without
            overlap.
        is_judged: bool ``[N]``; False for a mask that COCO ignores at an IoU threshold of 0.5: it
            has no IoU of 0.5, and at least half of it lies in a crowd or in the box of an object
            without a mask.
    """

    ious: Floats
    annotations: NDArray[np.int64]
    is_judged: NDArray[np.bool_]


class MaskIous:
    """Detected masks with their areas and their IoUs with the objects of the same image and class.

    Args:
        truth: the ground truth for ``segm``.
        rows: mask rows of ``coco_format``, with the ids of the file.
        any_class: whether objects of other classes count too.

    Attributes:
        truth: the ground truth.
        rows: N rows with the ids of ``truth``.
        areas: N pixel counts.
        detections: the indices of the rows of each cell.
        objects: the indices of the annotations of each cell.
        ious: float ``[detections, objects]`` of each cell that has both, in file order; for a crowd
            or an object without a mask, the share of the detection that lies in it.
    """

    def __init__(self, truth: GroundTruth, rows: Sequence[Row], *, any_class: bool = False) -> None:
        self.truth = truth
        self.rows = truth.rows(rows)
        self.areas: list[int] = rle_areas([row["segmentation"] for row in rows]).tolist()
        self.detections: dict[Cell, list[int]] = defaultdict(list)
        self.objects: dict[Cell, list[int]] = defaultdict(list)
        for rows_of, found in (
            (self.detections, self.rows),
            (self.objects, truth.coco.dataset["annotations"]),
        ):
            for index, row in enumerate(found):
                category_id = ANY_CLASS if any_class else row["category_id"]
                rows_of[row["image_id"], category_id].append(index)
        self.ious = self._compute()

    def best_objects(self) -> BestObjects:
        """Return the object that each mask overlaps most; the first of several."""
        annotations = self.truth.coco.dataset["annotations"]
        ious, inside = np.zeros(len(self.rows)), np.zeros(len(self.rows))
        best = np.full(len(self.rows), -1, dtype=np.int64)
        for cell, of_cell in self.ious.items():
            own, objects = self.detections[cell], np.array(self.objects[cell])
            is_region = np.array([annotations[i]["iscrowd"] for i in objects], dtype=bool)
            inside[own] = of_cell[:, is_region].max(axis=1, initial=0)
            if not is_region.all():
                of_objects = of_cell[:, ~is_region]
                ious[own] = of_objects.max(axis=1)
                best[own] = objects[~is_region][of_objects.argmax(axis=1)]
        best[ious == 0] = -1
        is_judged = (ious >= _IGNORED_SHARE) | (inside < _IGNORED_SHARE)
        return BestObjects(ious, best, is_judged)

    def _compute(self) -> dict[Cell, Floats]:
        annotations = self.truth.coco.dataset["annotations"]
        ious = {}
        for cell, objects in self.objects.items():
            if cell not in self.detections:
                continue
            image = self.truth.coco.imgs[cell[0]]
            height, width = image["height"], image["width"]
            gt = [annotations[index] for index in objects]
            ious[cell] = coco_mask.iou(
                [self.rows[index]["segmentation"] for index in self.detections[cell]],
                [to_rle(one["segmentation"], height, width) for one in gt],
                [one["iscrowd"] for one in gt],
            )
        return ious
