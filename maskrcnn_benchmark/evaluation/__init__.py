"""Evaluation of predictions: COCO, VOC and Cityscapes metrics, and the gain from mask scores."""

from collections.abc import Callable

from maskrcnn_benchmark.evaluation.cityscapes_eval import evaluate_cityscapes
from maskrcnn_benchmark.evaluation.coco_eval import evaluate_coco
from maskrcnn_benchmark.evaluation.coco_results import COCOResults
from maskrcnn_benchmark.evaluation.voc_eval import evaluate_voc

# by the ``metric`` attribute of a data set
EVALUATIONS: dict[str, Callable[..., COCOResults]] = {
    "cityscapes": evaluate_cityscapes,
    "coco": evaluate_coco,
    "voc": evaluate_voc,
}

__all__ = ["EVALUATIONS", "COCOResults", "evaluate_cityscapes", "evaluate_coco", "evaluate_voc"]
