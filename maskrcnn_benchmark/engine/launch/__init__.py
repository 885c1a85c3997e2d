"""Entry points of the commands: one function for each command of ``msrcnn``."""

from maskrcnn_benchmark.engine.launch.analysis import analyze
from maskrcnn_benchmark.engine.launch.conversion import convert
from maskrcnn_benchmark.engine.launch.quickstart import demo
from maskrcnn_benchmark.engine.launch.testing import test
from maskrcnn_benchmark.engine.launch.training import train

__all__ = ["analyze", "convert", "demo", "test", "train"]
