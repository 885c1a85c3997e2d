"""The comparison of two models."""

from maskrcnn_benchmark.report.comparison.compare import Comparison, Settings, compare_results
from maskrcnn_benchmark.report.comparison.page import write_comparison
from maskrcnn_benchmark.report.comparison.report import report_comparison
from maskrcnn_benchmark.report.comparison.results import names_of, read_model
from maskrcnn_benchmark.report.comparison.tables import as_text

__all__ = [
    "Comparison",
    "Settings",
    "as_text",
    "compare_results",
    "names_of",
    "read_model",
    "report_comparison",
    "write_comparison",
]
