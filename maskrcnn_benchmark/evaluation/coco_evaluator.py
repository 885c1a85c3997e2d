"""The libraries that compute COCO's metrics from matched IoUs, and how one of them is run."""

import contextlib
import importlib
import io
from collections.abc import Iterator
from typing import Any

from pycocotools.cocoeval import COCOeval
from yacs.config import CfgNode

from maskrcnn_benchmark.utils.user_error import MissingPackageError

# TEST.COCO_EVALUATOR -> module and class; all are used as pycocotools documents COCOeval
_EVALUATORS = {
    "pycocotools": ("pycocotools.cocoeval", "COCOeval"),
    "fast": ("faster_coco_eval", "COCOeval_faster"),
}


def find_evaluator(name: str) -> type[COCOeval]:
    """Return the class that evaluates: a name of TEST.COCO_EVALUATOR.

    Raises:
        ValueError: the name is unknown.
        MissingPackageError: the package is not installed.
    """
    if name not in _EVALUATORS:
        raise ValueError(
            f"TEST.COCO_EVALUATOR is {name!r}; it must be one of {', '.join(_EVALUATORS)}"
        )
    module, attribute = _EVALUATORS[name]
    try:
        found: type[COCOeval] = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f"TEST.COCO_EVALUATOR {name} needs the faster-coco-eval package: pip install .[fast]"
        ) from error
    return found


def check_evaluator(cfg: CfgNode) -> Iterator[str]:
    """Check that TEST.COCO_EVALUATOR is known and installed, before anything is computed."""
    try:
        find_evaluator(cfg.TEST.COCO_EVALUATOR)
    except ValueError as error:
        yield str(error)


def run_evaluation(evaluation: Any) -> None:
    """Evaluate, accumulate and summarize, silently."""
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
