"""Options of the training loop."""

from dataclasses import dataclass, field
from typing import Any

from maskrcnn_benchmark.engine.metrics_writer import MetricsWriter
from maskrcnn_benchmark.engine.train_step import StepOptions
from maskrcnn_benchmark.engine.validation import Validation


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Options of ``do_train`` beyond the original's loop.

    Attributes:
        writer: records the logged metrics; None: they are only logged.
        log_period: number of iterations between log lines.
        seed: seed of all random draws, combined with the iteration and the rank.
        step: options of one optimization step.
        validation: periodic evaluation that keeps the best model; None: no evaluation.
    """

    writer: MetricsWriter | None = None
    log_period: int = 20
    seed: int = 0
    step: StepOptions = field(default_factory=StepOptions)
    validation: Validation | None = None

    def stateful(self) -> dict[str, Any]:
        """Return the stateful parts to checkpoint, by their name in the checkpoint."""
        own = {} if self.validation is None else {"validation": self.validation}
        return self.step.stateful() | own
