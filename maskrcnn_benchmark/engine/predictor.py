"""Former home of ``maskrcnn_benchmark.predict``, for scripts that import it from here."""

from maskrcnn_benchmark.predict.predictor import Predictor, draw

__all__ = ["Predictor", "draw"]
