"""Evaluation of predictions: metrics of each data set, and the gain from mask scores."""

from collections.abc import Callable

from maskrcnn_benchmark.evaluation.cityscapes_eval import evaluate_cityscapes
from maskrcnn_benchmark.evaluation.coco_eval import evaluate_coco
from maskrcnn_benchmark.evaluation.coco_results import COCOResults
from maskrcnn_benchmark.evaluation.lvis_eval import evaluate_lvis
from maskrcnn_benchmark.evaluation.voc_eval import evaluate_voc

# by the ``metric`` attribute of a data set
EVALUATIONS: dict[str, Callable[..., COCOResults]] = {
    "cityscapes": evaluate_cityscapes,
    "coco": evaluate_coco,
    "lvis": evaluate_lvis,
    "voc": evaluate_voc,
}

__all__ = [
    "EVALUATIONS",
    "COCOResults",
    "evaluate_cityscapes",
    "evaluate_coco",
    "evaluate_lvis",
    "evaluate_voc",
]
