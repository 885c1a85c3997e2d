"""The differences of two models as rows of text, for the terminal and the page."""

import math
from collections.abc import Sequence

import numpy as np

from maskrcnn_benchmark.evaluation.coco_results import format_table
from maskrcnn_benchmark.evaluation.comparison import Difference, TaskComparison
from maskrcnn_benchmark.report.comparison.compare import Comparison

_SHOWN = 10  # classes on the terminal
CORRECTED = (
    "The intervals of classes are not corrected for their number; the p-values are, by Holm's "
    "method for each column of metrics, and the verdicts follow them."
)


def percent(value: float, *, signed: bool = False) -> str:
    """Return a fraction in percent; a dash for NaN."""
    if math.isnan(value):
        return "-"
    return f"{100 * value:+.1f}" if signed else f"{100 * value:.1f}"


def interval(one: Difference) -> str:
    """Return the 95 % interval in percent."""
    if math.isnan(one.low):
        return "-"
    return f"{percent(one.low, signed=True)} to {percent(one.high, signed=True)}"


def verdict(one: Difference, names: Sequence[str]) -> str:
    """Return the verdict in words; ``names`` are those of both models."""
    better = dict(zip("AB", names, strict=True)).get(one.verdict)
    if better is not None:
        return f"{better} is better"
    words = {"none": "not significant", "no objects": "no objects"}
    return words.get(one.verdict, f"too few images ({one.images})")


def header(comparison: Comparison, first: str) -> list[str]:
    """Return the header of a table of differences."""
    a, b = comparison.a.name, comparison.b.name
    return [first, a, b, "difference", "95 % interval", "p", "verdict"]


def difference_row(comparison: Comparison, name: str, one: Difference) -> list[str]:
    """Return a row of a table of differences."""
    shown_p = "-" if math.isnan(one.p_value) else f"{one.p_value:.3f}".replace("0.000", "<0.001")
    return [
        name,
        percent(one.a),
        percent(one.b),
        percent(one.difference, signed=True),
        interval(one),
        shown_p,
        verdict(one, (comparison.a.name, comparison.b.name)),
    ]


def by_difference(found: TaskComparison) -> dict[str, Difference]:
    """Return the AP of each class, the greatest difference first, unknown ones last."""
    aps = {name: metrics["AP"] for name, metrics in found.per_class.items()}
    return dict(sorted(aps.items(), key=lambda pair: -abs(np.nan_to_num(pair[1].difference))))


def as_text(comparison: Comparison) -> str:
    """Return the tables of all tasks for the terminal."""
    parts = []
    for task, title in comparison.titles.items():
        found = comparison.tasks[task]
        rows = [difference_row(comparison, *pair) for pair in found.overall.items()]
        aps = by_difference(found)
        if len(aps) > 1:
            rows += [difference_row(comparison, *pair) for pair in list(aps.items())[:_SHOWN]]
        parts.append(format_table(header(comparison, title), rows))
        if len(aps) > _SHOWN:
            parts[-1] += f"\n({len(aps) - _SHOWN} classes that differ less are in the report)"
    if len(comparison.coco.cats) > 1:
        parts.append(CORRECTED)
    return "\n\n".join(parts)
