"""The numbers of an evaluation: their layout, their tables, and the check against expected ones."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

AP_METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl")
PROPOSAL_LIMITS = (10, 100, 1000)
PROPOSAL_AREAS = {"all": "", "small": "s", "medium": "m", "large": "l"}

# The masks ranked by class score, beside "segm", which ranks by mask score where there is one.
SEGM_BY_CLASS_SCORE = "segm_by_class_score"

# Boxes by VOC's metric.
VOC_METRIC = "voc"

_METRICS = {
    VOC_METRIC: ("mAP",),
    "bbox": AP_METRICS,
    "segm": AP_METRICS,
    SEGM_BY_CLASS_SCORE: AP_METRICS,
    "box_proposal": tuple(
        f"AR{suffix}@{limit}" for limit in PROPOSAL_LIMITS for suffix in PROPOSAL_AREAS.values()
    ),
}


class COCOResults:
    """Metrics by task: ``results["bbox"]["AP"]``, fractions of 1, and -1 where nothing is known.

    Args:
        iou_types: tasks out of ``bbox``, ``segm``, ``segm_by_class_score``, ``box_proposal``,
            ``voc``; all their metrics start at -1.

    Attributes:
        results: task -> metric -> value.
        per_class: task -> name of the class -> AP; filled by the evaluation.
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
    """Return a fraction as percent; a dash for NaN and for COCO's -1, nothing known."""
    return f"{100 * value:.1f}" if value >= 0 else "-"


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return lines with aligned columns, the first to the left, the others to the right."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])
        for line in lines
    )


def _metric_tables(results: Mapping[str, Mapping[str, float]]) -> str:
    """Return a table for the tasks of each set of metrics."""
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
    """Return the gain of ranking masks by mask score: what the method exists for."""
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
    """Compare results with expected ones, log PASS or FAIL for each, tell whether all passed.

    Args:
        results: the actual ones.
        expected: entries ``(task, metric, mean, standard deviation)``.
        sigma_tol: how many standard deviations a value may be away from the mean.

    Raises:
        ValueError: an entry names a task or a metric that was not evaluated.
    """
    logger = logging.getLogger(__name__)
    all_passed = True
    for task, metric, mean, std in expected:
        if task not in results or metric not in results[task]:
            raise ValueError(
                f"TEST.EXPECTED_RESULTS names {task} {metric}, which was not evaluated "
                f"(there are: {', '.join(results.results)})"
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
