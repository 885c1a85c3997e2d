"""Actions after an iteration: save checkpoints, then evaluate, then stop if requested."""

import logging
from typing import Any, NoReturn

from maskrcnn_benchmark.checkpoint.checkpointer import Checkpointer
from maskrcnn_benchmark.engine.stop_request import StopRequest, TrainingStopped
from maskrcnn_benchmark.engine.train_options import TrainOptions

_LOGGER = "maskrcnn_benchmark.trainer"


class Milestones:
    """Saves the checkpoints that are due, evaluates, and stops training on request.

    The weights are saved before they are evaluated, so that nothing is lost if the evaluation
    fails or is killed: the resumed run repeats it. If no checkpoint is due, they are saved as
    ``model_last``, which is overwritten each time. After the evaluation the checkpoint is saved
    again to include the result.

    Args:
        checkpointer: writes ``model_0000123``, ``model_last``, ``model_best``, ``model_final``.
        arguments: stored in every checkpoint; ``iteration`` is the last completed one.
        stop_request: whether to stop.
        options: the validation, and the writer of its metrics.
        period: number of iterations between checkpoints.
        last: the last iteration.
    """

    def __init__(
        self,
        checkpointer: Checkpointer,
        arguments: dict[str, Any],
        stop_request: StopRequest,
        options: TrainOptions,
        *,
        period: int,
        last: int,
    ) -> None:
        self._checkpointer, self._arguments = checkpointer, arguments
        self._stop_request, self._validation = stop_request, options.validation
        self._writer, self._period, self._last = options.writer, period, last

    def pass_by(self) -> None:
        """Save, evaluate and stop as due after the last completed iteration.

        Raises:
            TrainingStopped: all ranks have agreed to stop, and a checkpoint is saved.
        """
        is_due = not self._stop_request.reason and self._is_evaluation_due()
        for name in self._names() or ["model_last"] * is_due:
            self._save(name)
        if is_due:
            self._evaluate()
        if is_due or self._arguments["iteration"] == self._last:  # signals since the step
            self._stop_request.on_any_process()
        if self._stop_request.reason:
            self._stop()

    def catch_up(self) -> None:
        """Evaluate a resumed model whose run ended before it had been evaluated.

        Raises:
            TrainingStopped: all ranks have agreed to stop.
        """
        if self._is_evaluation_due():
            self._evaluate()
            if self._stop_request.on_any_process():
                self._stop()

    def _names(self) -> list[str]:
        """Return the names of the checkpoints that are due, not counting evaluations."""
        iteration = self._arguments["iteration"]
        is_due = bool(self._stop_request.reason) or iteration % self._period == 0
        return [f"model_{iteration:07d}"] * is_due + ["model_final"] * (iteration == self._last)

    def _is_evaluation_due(self) -> bool:
        iteration = self._arguments["iteration"]
        return self._validation is not None and self._validation.is_due(iteration, self._last)

    def _evaluate(self) -> None:
        """Evaluate, record the metrics, and save the checkpoint again with the result."""
        iteration, validation = self._arguments["iteration"], self._validation
        assert validation is not None
        try:
            values, is_best = validation.run(iteration, self._stop_request)
        except TrainingStopped:
            self._stop()
        if self._writer is not None and values:
            self._writer.write(iteration, values, group="test")
        if is_best:
            self._save("model_best")
        self._save((self._names() or ["model_last"])[-1])

    def _save(self, name: str) -> None:
        self._checkpointer.save(name, **self._arguments)

    def _stop(self) -> NoReturn:
        logging.getLogger(_LOGGER).info(
            f"Stopped by {self._stop_request.reason} after iteration "
            f"{self._arguments['iteration']} of {self._last}"
        )
        raise TrainingStopped
