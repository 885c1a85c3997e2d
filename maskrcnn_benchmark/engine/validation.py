"""Evaluation during training, and selection of the best checkpoint."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import torch
from yacs.config import CfgNode

from maskrcnn_benchmark.engine.stop_request import StopRequest
from maskrcnn_benchmark.evaluation import COCOResults
from maskrcnn_benchmark.utils.comm import all_gather

_LOGGER = "maskrcnn_benchmark.validation"


Evaluate = Callable[[StopRequest], Mapping[str, float]]


class Validation:
    """Periodic evaluation that keeps track of the best result.

    Its state is part of the checkpoints (``state_dict``), so that a resumed run does not take a
    worse model for the best, and repeats an evaluation that was broken off.

    Args:
        evaluate: returns the metrics by name, larger is better; every rank calls it, and the
            metrics of rank 0 are used. Once the request that it gets is made it may raise
            ``TrainingStopped``, on all processes.
        period: iterations between two evaluations; the last iteration is always evaluated.
        metric: name of the metric that selects the best model.

    Attributes:
        best: the best value of ``metric``, None before the first.
        best_iteration: iteration of the best value; 0 before the first.
        iteration: the last that was evaluated; 0 before the first.
    """

    def __init__(self, evaluate: Evaluate, *, period: int, metric: str) -> None:
        self.evaluate = evaluate
        self.period = period
        self.metric = metric
        self.best: float | None = None
        self.best_iteration = 0
        self.iteration = 0

    def is_due(self, iteration: int, last: int) -> bool:
        """Return whether the model of an iteration of ``last`` is yet to be evaluated."""
        regular = iteration % self.period == 0 or iteration == last
        return regular and iteration != self.iteration

    def run(self, iteration: int, stop_request: StopRequest) -> tuple[dict[str, float], bool]:
        """Evaluate without advancing torch's random number generators.

        Args:
            iteration: that the model is of.
            stop_request: see ``evaluate``; it knows where the model is.

        Returns:
            The metrics, identical on every rank, and whether they are the best so far.

        Raises:
            TrainingStopped: see ``evaluate``.
        """
        device = stop_request.device
        devices = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            values = all_gather(dict(self.evaluate(stop_request)))[0]
        self.iteration = iteration
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
        """Return the best result, how it was measured, and what was evaluated last."""
        return {
            "metric": self.metric,
            "best": self.best,
            "best_iteration": self.best_iteration,
            "iteration": self.iteration,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a saved state; the best value of another metric is discarded."""
        if state["metric"] == self.metric:
            self.best, self.best_iteration = state["best"], state["best_iteration"]
        self.iteration = state.get("iteration", 0)  # older checkpoints do not tell


def make_validation(cfg: CfgNode, evaluate: Evaluate) -> Validation | None:
    """Return the validation configured by ``SOLVER.TEST_PERIOD``; None if it is 0."""
    if not cfg.SOLVER.TEST_PERIOD:
        return None
    default = "segm_AP" if cfg.MODEL.MASK_ON else "bbox_AP"
    default = "box_proposal_AR@1000" if cfg.MODEL.RPN_ONLY else default
    metric = cfg.SOLVER.BEST_METRIC or default
    return Validation(evaluate, period=cfg.SOLVER.TEST_PERIOD, metric=metric)


def metrics_by_name(results: Mapping[str, COCOResults]) -> dict[str, float]:
    """Return the metrics of the test sets, named as ``segm_AP``, as fractions of 1.

    Args:
        results: by name of the set. With several sets the names are ``<set>/segm_AP``, but for the
            first set's, which selects the best model. Unknown values (COCO's -1) are omitted.
    """
    named: dict[str, float] = {}
    for index, (dataset, result) in enumerate(results.items()):
        prefix = f"{dataset}/" if index else ""
        for task, metrics in result.results.items():
            known = {name: value for name, value in metrics.items() if value >= 0}
            named |= {f"{prefix}{task}_{name}": value for name, value in known.items()}
    return named
