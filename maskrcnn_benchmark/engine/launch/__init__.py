"""Training and testing entry points: ``train`` and ``test``."""

from maskrcnn_benchmark.engine.launch.testing import test
from maskrcnn_benchmark.engine.launch.training import train

__all__ = ["test", "train"]
