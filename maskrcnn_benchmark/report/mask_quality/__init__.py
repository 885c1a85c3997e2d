"""The mask-quality report."""

from maskrcnn_benchmark.report.mask_quality.report import (
    report_mask_quality,
    write_mask_quality,
)

__all__ = ["report_mask_quality", "write_mask_quality"]
