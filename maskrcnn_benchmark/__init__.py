"""Mask Scoring R-CNN on the lines of maskrcnn-benchmark."""
