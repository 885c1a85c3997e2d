"""Evaluation during training, and selection of the best checkpoint."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import torch
from yacs.config import CfgNode

from maskrcnn_benchmark.engine.stop_request import StopRequest
from maskrcnn_benchmark.evaluation import COCOResults
from maskrcnn_benchmark.structures.class_names import make_num_classes
from maskrcnn_benchmark.utils.comm import all_gather

_LOGGER = "maskrcnn_benchmark.validation"


Evaluate = Callable[[StopRequest], Mapping[str, float]]


class Validation:
    """Periodic evaluation that keeps track of the best result.

    Its state is checkpointed (``state_dict``), so that a resumed run remembers the best result and
    repeats an interrupted evaluation.

    Args:
        evaluate: returns the metrics by name (larger is better); called on every rank, and the
            metrics of rank 0 are used. If a stop is requested, it may raise ``TrainingStopped`` on
            all ranks.
        period: number of iterations between evaluations; the last iteration is always evaluated.
        metric: name of the metric used to select the best model.

    Attributes:
        best: best value of ``metric`` so far; None before the first evaluation.
        best_iteration: iteration of the best value; 0 before the first evaluation.
        iteration: last evaluated iteration; 0 before the first evaluation.
    """

    def __init__(self, evaluate: Evaluate, *, period: int, metric: str) -> None:
        self.evaluate = evaluate
        self.period = period
        self.metric = metric
        self.best: float | None = None
        self.best_iteration = 0
        self.iteration = 0

    def is_due(self, iteration: int, last: int) -> bool:
        """Return whether an iteration is due for evaluation; ``last`` is the final iteration."""
        regular = iteration % self.period == 0 or iteration == last
        return regular and iteration != self.iteration

    def run(self, iteration: int, stop_request: StopRequest) -> tuple[dict[str, float], bool]:
        """Evaluate without advancing torch's random number generators.

        Args:
            iteration: iteration of the model.
            stop_request: passed to ``evaluate``; provides the device of the model.

        Returns:
            The metrics, identical on every rank, and whether they are the best so far.

        Raises:
            TrainingStopped: raised by ``evaluate``.
        """
        device = stop_request.device
        devices = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            values = all_gather(dict(self.evaluate(stop_request)))[0]
        self.iteration = iteration
        logger = logging.getLogger(_LOGGER)
        value = values.get(self.metric)
        if value is None:
            logger.warning(f"iter: {iteration}  {self.metric} is undefined (no ground truth?)")
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
        """Return the metric, its best value and iteration, and the last evaluated iteration."""
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
        self.iteration = state.get("iteration", 0)  # missing in older checkpoints


def make_validation(cfg: CfgNode, evaluate: Evaluate) -> Validation | None:
    """Return the validation configured by ``SOLVER.TEST_PERIOD``; None if it is 0."""
    if not cfg.SOLVER.TEST_PERIOD:
        return None
    default = "segm_AP" if cfg.MODEL.MASK_ON else "bbox_AP"
    default = "box_proposal_AR@1000" if make_num_classes(cfg) is None else default
    metric = cfg.SOLVER.BEST_METRIC or default
    return Validation(evaluate, period=cfg.SOLVER.TEST_PERIOD, metric=metric)


def metrics_by_name(results: Mapping[str, COCOResults]) -> dict[str, float]:
    """Flatten results to metrics named like ``segm_AP``, as fractions of 1.

    Metrics of the first data set, which selects the best model, have no prefix; those of the others
    are named ``<data set>/segm_AP``. Undefined values (COCO's -1) are omitted.

    Args:
        results: results by name of the data set.
    """
    named: dict[str, float] = {}
    for index, (dataset, result) in enumerate(results.items()):
        prefix = f"{dataset}/" if index else ""
        for task, metrics in result.results.items():
            known = {name: value for name, value in metrics.items() if value >= 0}
            named |= {f"{prefix}{task}_{name}": value for name, value in known.items()}
    return named
