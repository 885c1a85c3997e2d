"""The mask-quality report."""

from maskrcnn_benchmark.report.mask_quality.report import (
    EvaluatedMasks,
    report_mask_quality,
    write_mask_quality,
)

__all__ = ["EvaluatedMasks", "report_mask_quality", "write_mask_quality"]
