"""LVIS's federated metric (Gupta et al., CVPR 2019, section 3) by faster-coco-eval.

An image counts for a category only if the category is annotated in it or verified to be absent
(``neg_category_ids``); where not every instance of a category is annotated
(``not_exhaustive_category_ids``), unmatched detections of it are ignored.
"""

import importlib
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Any

from pycocotools.coco import COCO

from maskrcnn_benchmark.evaluation.coco_eval import class_aps, evaluate_coco
from maskrcnn_benchmark.evaluation.coco_evaluator import run_evaluation
from maskrcnn_benchmark.evaluation.coco_results import AP_METRICS, COCOResults
from maskrcnn_benchmark.utils.user_error import MissingPackageError

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
        MissingPackageError: faster-coco-eval is not installed.
        ValueError: an image or a category lacks what LVIS adds to COCO's format.
    """
    _check_format(coco)
    results = COCOResults(*rows)
    for task, of_task in rows.items():
        evaluation = _evaluate(coco, _best_of_images(of_task), "bbox" if task == "bbox" else "segm")
        stats = [float(evaluation.stats_as_dict[name]) for name in _NAMES]
        results.results[task] = dict(zip(LVIS_METRICS, stats, strict=True))
        results.per_class[task] = class_aps(evaluation)
    return results


def _check_format(coco: COCO) -> None:
    """Raise an error unless the ground truth has all that the metric needs."""
    for image in coco.imgs.values():
        missing = {"neg_category_ids", "not_exhaustive_category_ids"} - set(image)
        if missing:
            raise ValueError(
                f"LVIS's metric: image id {image['id']!r} has no {', '.join(sorted(missing))}"
            )
    for category in coco.cats.values():
        if "frequency" not in category:
            raise ValueError(
                f"LVIS's metric: category id {category['id']!r} has no frequency, r, c or f"
            )


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
        library = importlib.import_module("faster_coco_eval")
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            "LVIS's metric needs the faster-coco-eval package: pip install .[fast]"
        ) from error
    truth = library.COCO(coco.dataset)
    evaluation = library.COCOeval_faster(
        truth,
        truth.loadRes(rows) if rows else library.COCO({**coco.dataset, "annotations": []}),
        iou_type,
        lvis_style=True,
        print_function=lambda *_: None,
    )
    evaluation.params.maxDets = [MAX_DETECTIONS]
    run_evaluation(evaluation)
    return evaluation


evaluate_lvis = partial(evaluate_coco, evaluate_rows=evaluate_lvis_rows)
