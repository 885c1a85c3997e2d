"""Options of a training."""

from dataclasses import dataclass, field
from typing import Any

from maskrcnn_benchmark.engine.metrics_writer import MetricsWriter
from maskrcnn_benchmark.engine.train_step import StepOptions
from maskrcnn_benchmark.engine.validation import Validation


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """What a training may do beyond the original's loop.

    Attributes:
        writer: records the logged figures; None: they go to the log only.
        log_period: iterations between two lines of the log.
        seed: of all random draws, together with the iteration and the rank.
        step: options of one optimization step.
        validation: evaluates now and then, and the best model is kept; None: never.
    """

    writer: MetricsWriter | None = None
    log_period: int = 20
    seed: int = 0
    step: StepOptions = field(default_factory=StepOptions)
    validation: Validation | None = None

    def stateful(self) -> dict[str, Any]:
        """Return what has a state that belongs into the checkpoints, by the name it has there."""
        own = {} if self.validation is None else {"validation": self.validation}
        return self.step.stateful() | own
