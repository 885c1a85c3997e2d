"""Data sets, transforms, samplers and the loaders built of them."""

from maskrcnn_benchmark.data.build import make_data_loader
from maskrcnn_benchmark.data.classes import make_classes

__all__ = ["make_classes", "make_data_loader"]
