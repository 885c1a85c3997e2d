"""From predictions to COCO's numbers, and to the number that this method exists for."""

from collections.abc import Callable

from maskrcnn_benchmark.evaluation.coco_eval import evaluate_coco
from maskrcnn_benchmark.evaluation.coco_results import COCOResults
from maskrcnn_benchmark.evaluation.voc_eval import evaluate_voc

# by the ``metric`` of a data set
EVALUATIONS: dict[str, Callable[..., COCOResults]] = {"coco": evaluate_coco, "voc": evaluate_voc}

__all__ = ["EVALUATIONS", "COCOResults", "evaluate_coco", "evaluate_voc"]
