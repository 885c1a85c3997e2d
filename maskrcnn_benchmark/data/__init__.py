"""Data sets, transforms, samplers and the loaders built of them."""

from maskrcnn_benchmark.data.build import make_data_loader
from maskrcnn_benchmark.data.classes import make_classes, make_metadata

__all__ = ["make_classes", "make_data_loader", "make_metadata"]
