"""Former home of ``maskrcnn_benchmark.engine.metric_logger``, for scripts that import it."""

from maskrcnn_benchmark.engine.metric_logger import MetricLogger, SmoothedValue

__all__ = ["MetricLogger", "SmoothedValue"]
