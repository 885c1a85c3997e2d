"""Mask Scoring R-CNN on the lines of maskrcnn-benchmark."""

__version__ = "0.1.0"
