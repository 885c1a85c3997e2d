"""Former home of ``maskrcnn_benchmark.checkpoint``, for scripts that import it from here."""

from maskrcnn_benchmark.checkpoint.checkpointer import Checkpointer, DetectronCheckpointer

__all__ = ["Checkpointer", "DetectronCheckpointer"]
