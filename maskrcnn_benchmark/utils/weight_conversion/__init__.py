"""Other projects' Mask R-CNNs as models of ours: names, class order, and the config they need."""

from .conversion import Conversion, convert_detector

__all__ = ["Conversion", "convert_detector"]
