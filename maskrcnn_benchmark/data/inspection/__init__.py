"""Checks of a COCO data set beyond what loading refuses, and a report with pictures."""

from maskrcnn_benchmark.data.inspection.inspect import Inspection, inspect_coco
from maskrcnn_benchmark.data.inspection.report import summary, write_report

__all__ = ["Inspection", "inspect_coco", "summary", "write_report"]
