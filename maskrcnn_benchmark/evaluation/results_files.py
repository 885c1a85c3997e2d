"""What every evaluation ends with: the log, the files, the check against expected results."""

import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from maskrcnn_benchmark.evaluation.coco_results import COCOResults, check_expected_results


def publish(
    results: COCOResults,
    file_name: str,
    *,
    folder: str | Path | None,
    expected_results: Sequence[Sequence[Any]],
    sigma_tol: float,
) -> None:
    """Log results, write them to ``file_name`` and ``results.json``, compare with expected ones.

    Args:
        results: of an evaluation.
        file_name: of the results as a dict, for ``torch.load``.
        folder: where to; made if need be. None: no files.
        expected_results: see ``check_expected_results``.
        sigma_tol: see there.
    """
    logging.getLogger(__name__).info(f"Results\n{results}")
    if folder is not None:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(results.results, folder / file_name)
        _write_json(results, folder / "results.json")
    check_expected_results(results, expected_results, sigma_tol)


def _write_json(results: COCOResults, path: Path) -> None:
    """Write all numbers for other programs; null for NaN."""
    quality = {
        group: {name: None if math.isnan(value) else value for name, value in values.items()}
        for group, values in results.mask_quality.items()
    }
    content = {
        "results": results.results,
        "per_class": results.per_class,
        "mask_quality": quality,
    }
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
