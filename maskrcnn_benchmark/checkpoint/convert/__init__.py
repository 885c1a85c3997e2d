"""Other projects' Mask R-CNNs as models of ours: names, class order, and the config they need."""

from maskrcnn_benchmark.checkpoint.convert.conversion import Conversion, Options, convert_detector
from maskrcnn_benchmark.checkpoint.convert.output import config_file, convert_file, write_conversion
from maskrcnn_benchmark.checkpoint.convert.style import STYLES

__all__ = [
    "STYLES",
    "Conversion",
    "Options",
    "config_file",
    "convert_detector",
    "convert_file",
    "write_conversion",
]
