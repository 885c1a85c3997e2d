"""How well a model found each annotated object: for looking at where two models differ."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pycocotools.cocoeval import COCOeval

Floats = NDArray[np.float64]

_LEAST_IOU = 0.1  # of a detection of this object rather than of a neighbor


@dataclass(frozen=True)
class FoundObjects:
    """The best detection of each of N annotations.

    Attributes:
        ious: float ``[N]``, its IoU; 0 below 0.1, NaN for a region (crowd, ignored).
        rows: int64 ``[N]``, its index in the rows that were evaluated; -1 if there is none.
    """

    ious: Floats
    rows: NDArray[np.int64]


def found_objects(evaluation: COCOeval, min_score: float) -> FoundObjects:
    """Return how well each object was found by the detections of its class.

    Args:
        evaluation: after ``evaluate``; annotations and detections have the ids 1, 2, 3, ...
        min_score: detections with a lower score do not count.
    """
    annotations = evaluation.cocoGt.dataset["annotations"]
    ious = np.array([np.nan if one["iscrowd"] else 0 for one in annotations], dtype=np.float64)
    rows = np.full(len(annotations), -1, dtype=np.int64)
    for cell, of_cell in evaluation.ious.items():
        if not len(of_cell):
            continue
        objects = np.array([one["id"] - 1 for one in evaluation._gts[cell]])
        # as computeIoU orders them
        found = sorted(evaluation._dts[cell], key=lambda one: -one["score"])[: len(of_cell)]
        count = sum(one["score"] >= min_score for one in found)
        if not count:
            continue
        best = of_cell[:count].argmax(axis=0)
        highest = of_cell[best, np.arange(len(objects))]
        is_found = (highest >= _LEAST_IOU) & ~np.isnan(ious[objects])
        ious[objects[is_found]] = highest[is_found]
        rows[objects[is_found]] = [found[index]["id"] - 1 for index in best[is_found]]
    return FoundObjects(ious, rows)
