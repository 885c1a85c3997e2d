"""What is due after an iteration: checkpoints first, then the evaluation, then a stop."""

import logging
from typing import Any, NoReturn

from maskrcnn_benchmark.checkpoint.checkpointer import Checkpointer
from maskrcnn_benchmark.engine.stop_request import StopRequest, TrainingStopped
from maskrcnn_benchmark.engine.train_options import TrainOptions

_LOGGER = "maskrcnn_benchmark.trainer"


class Milestones:
    """Saves the checkpoints that are due, evaluates, and ends the training when asked to.

    The weights are on disk before they are evaluated, so an evaluation that fails, or is killed,
    loses nothing: the resumed run repeats it. Where no checkpoint is due, that is ``model_last``,
    which the next one replaces. Afterwards the file is written again, with the evaluation's result.

    Args:
        checkpointer: writes ``model_0000123``, ``model_last``, ``model_best``, ``model_final``.
        arguments: stored in every checkpoint; ``iteration`` is the one that was done last.
        stop_request: says whether to stop.
        options: validation and writer of its figures.
        period: iterations between two checkpoints.
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
        """Do what is due after the iteration that was done last.

        Raises:
            TrainingStopped: all have agreed to stop, and what was done is saved.
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
            TrainingStopped: all have agreed to stop.
        """
        if self._is_evaluation_due():
            self._evaluate()
            if self._stop_request.on_any_process():
                self._stop()

    def _names(self) -> list[str]:
        """Return the names of the checkpoints that are due, evaluations aside."""
        iteration = self._arguments["iteration"]
        is_due = bool(self._stop_request.reason) or iteration % self._period == 0
        return [f"model_{iteration:07d}"] * is_due + ["model_final"] * (iteration == self._last)

    def _is_evaluation_due(self) -> bool:
        iteration = self._arguments["iteration"]
        return self._validation is not None and self._validation.is_due(iteration, self._last)

    def _evaluate(self) -> None:
        """Evaluate, record the figures, and save the model again with what is now known of it."""
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
