"""LVIS's federated metric (Gupta et al., CVPR 2019, section 3) by faster-coco-eval.

An image counts for a category only if the category is annotated in it or verified to be absent
(``neg_category_ids``); where not every instance of a category is annotated
(``not_exhaustive_category_ids``), unmatched detections of it are ignored.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools.coco import COCO

from maskrcnn_benchmark.evaluation.coco_results import AP_METRICS, COCOResults

Row = dict[str, Any]

MAX_DETECTIONS = 300  # per image, all categories together
LVIS_METRICS = (*AP_METRICS, "APr", "APc", "APf")
_NAMES = ("AP_all", "AP_50", "AP_75", "AP_small", "AP_medium", "AP_large", "APr", "APc", "APf")


def evaluate_lvis_rows(coco: COCO, rows: dict[str, list[Row]]) -> COCOResults:
    """Return ``LVIS_METRICS`` of each task, and the AP of each class.

    Args:
        coco: the ground truth; its images have LVIS's two lists.
        rows: rows of COCO's JSON by task; in each image the best 300 by ``score`` count.

    Raises:
        ImportError: faster-coco-eval is not installed.
    """
    results = COCOResults(*rows)
    for task, of_task in rows.items():
        evaluation = _evaluate(coco, _best_of_images(of_task), "bbox" if task == "bbox" else "segm")
        stats = [float(evaluation.stats_as_dict[name]) for name in _NAMES]
        results.results[task] = dict(zip(LVIS_METRICS, stats, strict=True))
        results.per_class[task] = _class_aps(evaluation)
    return results


def _best_of_images(rows: Sequence[Row]) -> list[Row]:
    """Return the best ``MAX_DETECTIONS`` rows of each image."""
    of_image: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        of_image[row["image_id"]].append(row)
    best = (sorted(group, key=lambda row: -row["score"]) for group in of_image.values())
    return [row for group in best for row in group[:MAX_DETECTIONS]]


def _evaluate(coco: COCO, rows: list[Row], iou_type: str) -> Any:
    """Return the library's finished evaluation."""
    try:
        from faster_coco_eval import COCO as FasterCOCO  # noqa: PLC0415 - an optional package
        from faster_coco_eval import COCOeval_faster  # noqa: PLC0415
    except ImportError as error:
        raise ImportError(
            "LVIS's metric needs faster-coco-eval: pip install 'maskrcnn_benchmark[fast]'"
        ) from error
    truth = FasterCOCO(coco.dataset)
    evaluation = COCOeval_faster(
        truth,
        truth.loadRes(rows) if rows else FasterCOCO({**coco.dataset, "annotations": []}),
        iou_type,
        lvis_style=True,
        print_function=lambda *_: None,
    )
    evaluation.params.maxDets = [MAX_DETECTIONS]
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation


def _class_aps(evaluation: Any) -> dict[str, float]:
    """Return the AP of each class; -1 where no image counts for it."""
    precision = np.asarray(evaluation.eval["precision"])[:, :, :, 0, -1]
    aps: dict[str, float] = {}
    for index, category in enumerate(evaluation.cocoGt.loadCats(evaluation.params.catIds)):
        known = precision[:, :, index][precision[:, :, index] > -1]
        aps[category["name"]] = float(known.mean()) if known.size else -1.0
    return aps
