"""Evaluation during the training, and which checkpoint was the best."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import torch
from yacs.config import CfgNode

from maskrcnn_benchmark.evaluation import COCOResults
from maskrcnn_benchmark.utils.comm import all_gather

_LOGGER = "maskrcnn_benchmark.validation"


class Validation:
    """Evaluates the model every so often and remembers the best result.

    Its state belongs into the checkpoints (``state_dict``), so that a resumed run does not take a
    worse model for the best.

    Args:
        evaluate: returns the figures by name, larger is better; every process calls it, and the
            main process' figures count.
        period: iterations between two evaluations; the last iteration is evaluated too.
        metric: name of the figure to choose by.

    Attributes:
        best: the best value of ``metric``, None before the first.
        best_iteration: where it was reached; 0 before the first.
    """

    def __init__(
        self, evaluate: Callable[[], Mapping[str, float]], *, period: int, metric: str
    ) -> None:
        self.evaluate = evaluate
        self.period = period
        self.metric = metric
        self.best: float | None = None
        self.best_iteration = 0

    def is_due(self, iteration: int, last: int) -> bool:
        """Tell whether to evaluate after an iteration of ``last``."""
        return iteration % self.period == 0 or iteration == last

    def run(self, iteration: int) -> tuple[dict[str, float], bool]:
        """Evaluate; torch's random numbers go on as if nothing had happened.

        Returns:
            The figures, the same on every process, and whether they are the best so far.
        """
        devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
        with torch.random.fork_rng(devices):
            values = all_gather(dict(self.evaluate()))[0]
        logger = logging.getLogger(_LOGGER)
        value = values.get(self.metric)
        if value is None:
            logger.warning(f"iter: {iteration}  {self.metric} is not known (no ground truth?)")
            return values, False
        is_best = self.best is None or value > self.best
        if is_best:
            self.best, self.best_iteration = value, iteration
        logger.info(
            f"iter: {iteration}  {self.metric}: {value:.4f}  "
            f"best: {self.best:.4f} (iter {self.best_iteration})"
        )
        return values, is_best

    def state_dict(self) -> dict[str, Any]:
        """Return the best result and how it was measured."""
        return {
            "metric": self.metric,
            "best": self.best,
            "best_iteration": self.best_iteration,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state; a best value of another metric is forgotten."""
        if state["metric"] == self.metric:
            self.best, self.best_iteration = state["best"], state["best_iteration"]


def make_validation(cfg: CfgNode, evaluate: Callable[[], Mapping[str, float]]) -> Validation | None:
    """Return the validation that ``SOLVER.TEST_PERIOD`` asks for; None if it is 0."""
    if not cfg.SOLVER.TEST_PERIOD:
        return None
    default = "segm_AP" if cfg.MODEL.MASK_ON else "bbox_AP"
    default = "box_proposal_AR@1000" if cfg.MODEL.RPN_ONLY else default
    metric = cfg.SOLVER.BEST_METRIC or default
    return Validation(evaluate, period=cfg.SOLVER.TEST_PERIOD, metric=metric)


def figures(results: Mapping[str, COCOResults]) -> dict[str, float]:
    """Return the figures of test sets as ``segm_AP``, fractions of 1.

    Args:
        results: by name of the set. With several sets the names are ``<set>/segm_AP``, but for the
            first set's, which is the one to choose by. What is not known (COCO's -1) is left out.
    """
    found: dict[str, float] = {}
    for number, (dataset, result) in enumerate(results.items()):
        prefix = f"{dataset}/" if number else ""
        for task, metrics in result.results.items():
            known = {name: value for name, value in metrics.items() if value >= 0}
            found |= {f"{prefix}{task}_{name}": value for name, value in known.items()}
    return found
