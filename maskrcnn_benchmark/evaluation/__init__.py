"""From predictions to COCO's numbers, and to the number that this method exists for."""

from .coco_eval import evaluate_coco
from .coco_results import COCOResults

__all__ = ["COCOResults", "evaluate_coco"]
