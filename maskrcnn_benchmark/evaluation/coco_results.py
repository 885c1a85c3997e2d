"""The results of an evaluation: layout, tables, files, comparison with expected ones."""

import json
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

AP_METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl")
KEYPOINT_METRICS = ("AP", "AP50", "AP75", "APm", "APl")  # COCO has no small persons
PROPOSAL_LIMITS = (10, 100, 1000)
PROPOSAL_AREAS = {"all": "", "small": "s", "medium": "m", "large": "l"}

# masks ranked by class score; "segm" ranks them by mask score if there is one
SEGM_BY_CLASS_SCORE = "segm_by_class_score"

# boxes evaluated by the VOC metric
VOC_METRIC = "voc"

_METRICS = {
    VOC_METRIC: ("mAP",),
    "bbox": AP_METRICS,
    "segm": AP_METRICS,
    SEGM_BY_CLASS_SCORE: AP_METRICS,
    "keypoints": KEYPOINT_METRICS,
    "box_proposal": tuple(
        f"AR{suffix}@{limit}" for limit in PROPOSAL_LIMITS for suffix in PROPOSAL_AREAS.values()
    ),
}


class COCOResults:
    """Metrics by task, such as ``results["bbox"]["AP"]``: fractions of 1, or -1 if undefined.

    Args:
        iou_types: tasks among ``bbox``, ``segm``, ``segm_by_class_score``, ``box_proposal``,
            ``keypoints``, ``voc``; all their metrics start at -1.

    Attributes:
        results: task -> metric -> value.
        per_class: task -> class name -> AP; filled by the evaluation.
        mask_quality: see ``mask_quality.mask_quality``; ``{}`` without predicted mask IoUs.
    """

    def __init__(self, *iou_types: str) -> None:
        unknown = [task for task in iou_types if task not in _METRICS]
        if unknown:
            raise ValueError(f"iou types {unknown} are unknown; choose among {', '.join(_METRICS)}")
        self.results: dict[str, dict[str, float]] = {
            task: dict.fromkeys(_METRICS[task], -1) for task in iou_types
        }
        self.per_class: dict[str, dict[str, float]] = {}
        self.mask_quality: dict[str, dict[str, float]] = {}

    def __getitem__(self, task: str) -> dict[str, float]:
        return self.results[task]

    def __contains__(self, task: str) -> bool:
        return task in self.results

    def __str__(self) -> str:
        return "\n".join(
            part
            for part in (
                _metric_tables(self.results),
                _ranking_lines(self.results),
                _quality_table(self.mask_quality),
                _class_table(self.per_class),
            )
            if part
        )


def _percent(value: float) -> str:
    """Return a fraction as a percentage; a dash for NaN and for COCO's -1 (undefined)."""
    return f"{100 * value:.1f}" if value >= 0 else "-"


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return lines of aligned columns: the first left-aligned, the others right-aligned."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])
        for line in lines
    )


def _metric_tables(results: Mapping[str, Mapping[str, float]]) -> str:
    """Return one table per set of metrics, with a row per task."""
    tables = []
    for metrics in dict.fromkeys(tuple(values) for values in results.values()):
        rows = [
            [task, *(_percent(value) for value in values.values())]
            for task, values in results.items()
            if tuple(values) == metrics
        ]
        tables.append(format_table(["percent", *metrics], rows))
    return "\n".join(tables)


def _ranking_lines(results: Mapping[str, Mapping[str, float]]) -> str:
    """Return the gain in mask AP from ranking by mask score: the point of the method."""
    if SEGM_BY_CLASS_SCORE not in results:
        return ""
    by_mask, by_class = results["segm"]["AP"], results[SEGM_BY_CLASS_SCORE]["AP"]
    return (
        f"mask AP by mask score {_percent(by_mask)}, by class score {_percent(by_class)}, "
        f"difference {100 * (by_mask - by_class):+.2f}"
    )


def _quality_table(quality: Mapping[str, Mapping[str, float]]) -> str:
    if not quality:
        return ""
    names = list(next(iter(quality.values())))
    rows = [
        [group, *(f"{value:.3f}" if isinstance(value, float) else f"{value}" for value in v)]
        for group, v in ((group, values.values()) for group, values in quality.items())
    ]
    return format_table(["predicted and true mask IoU", *names], rows)


def _class_table(per_class: Mapping[str, Mapping[str, float]]) -> str:
    if not per_class:
        return ""
    classes = list(next(iter(per_class.values())))
    rows = [[name, *(_percent(values[name]) for values in per_class.values())] for name in classes]
    return format_table(["AP of class", *per_class], rows)


def check_expected_results(
    results: COCOResults, expected: Sequence[Sequence[Any]], sigma_tol: float
) -> bool:
    """Return whether all results match the expected ones; log PASS or FAIL for each.

    Args:
        results: actual results.
        expected: entries ``(task, metric, mean, standard deviation)``.
        sigma_tol: allowed deviation from the mean in standard deviations.

    Raises:
        ValueError: an entry names a task or metric that was not evaluated.
    """
    logger = logging.getLogger(__name__)
    all_passed = True
    for task, metric, mean, std in expected:
        if task not in results or metric not in results[task]:
            raise ValueError(
                f"TEST.EXPECTED_RESULTS names {task} {metric}, which was not evaluated "
                f"(evaluated: {', '.join(results.results)})"
            )
        actual, low, high = results[task][metric], mean - sigma_tol * std, mean + sigma_tol * std
        passed = low < actual < high
        all_passed &= passed
        logger.log(
            logging.INFO if passed else logging.ERROR,
            f"{'PASS' if passed else 'FAIL'}: {task} {metric} is {actual:.4f}, expected "
            f"{mean:.4f} with std {std:.4f}: between {low:.4f} and {high:.4f}",
        )
    return all_passed


def report_results(
    results: COCOResults,
    file_name: str,
    *,
    folder: str | Path | None,
    expected_results: Sequence[Sequence[Any]],
    sigma_tol: float,
) -> None:
    """Log results, write ``file_name`` and ``results.json``, compare with expected results.

    Args:
        results: results of an evaluation.
        file_name: name of the file for the metrics, a dict to be read by ``torch.load``.
        folder: output folder; created if missing. None: no files.
        expected_results: see ``check_expected_results``.
        sigma_tol: see ``check_expected_results``.
    """
    logging.getLogger(__name__).info(f"Results\n{results}")
    if folder is not None:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(results.results, folder / file_name)
        _write_json(results, folder / "results.json")
    check_expected_results(results, expected_results, sigma_tol)


def _write_json(results: COCOResults, path: Path) -> None:
    """Write all results as JSON, with null for NaN."""
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
