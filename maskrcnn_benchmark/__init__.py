"""Mask Scoring R-CNN, based on the design of maskrcnn-benchmark.

The main entry points are ``train``, ``test``, ``Predictor`` and ``build_detection_model``. They are
imported lazily to keep the import of the package fast.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maskrcnn_benchmark.engine.launch import test, train
    from maskrcnn_benchmark.modeling.detector import build_detection_model
    from maskrcnn_benchmark.predict.predictor import Predictor

__version__ = "0.1.0"
__all__ = ["Predictor", "build_detection_model", "test", "train"]

_MODULES = {
    "Predictor": "predict.predictor",
    "build_detection_model": "modeling.detector",
    "test": "engine.launch",
    "train": "engine.launch",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
