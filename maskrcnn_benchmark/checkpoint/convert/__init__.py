"""Convert Mask R-CNN models of other projects: names, class order, and config."""

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
