"""Differences of two models with their intervals, as a chart."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from maskrcnn_benchmark.evaluation.comparison import Difference

_WIDTH = 4.6  # inches
_ROW = 0.24
_COLORS = {"B": "#0b62c4", "A": "#c4560b"}
_GRAY = "#7c8794"


def draw_differences(differences: Mapping[str, Difference], names: Sequence[str]) -> Figure:
    """Draw a row with point and interval for each difference; unknown ones are left out.

    A hollow point has no interval.

    Args:
        differences: by the name of the row.
        names: of both models.
    """
    known = {name: one for name, one in differences.items() if not math.isnan(one.difference)}
    figure = Figure(figsize=(_WIDTH, 1.1 + _ROW * len(known)), layout="constrained")
    axes = figure.add_subplot()
    axes.axvline(0, color="#1d2430", linewidth=0.8)
    for row, one in enumerate(known.values()):
        color = _COLORS.get(one.verdict, _GRAY)
        axes.plot([100 * one.low, 100 * one.high], [row, row], color=color, linewidth=2)
        inside = "white" if math.isnan(one.low) else color
        axes.plot([100 * one.difference], [row], "o", color=color, mfc=inside, markersize=5)
    axes.set_yticks(range(len(known)), [_shortened(name) for name in known], parse_math=False)
    axes.set_ylim(len(known) - 0.4, -0.6)
    first, second = map(_shortened, names)
    axes.set_xlabel(
        f"{first} better  ←  AP difference, percent  →  {second} better",
        parse_math=False,
        fontsize=8.5,
    )
    axes.grid(axis="x", color="#d8dde4", linewidth=0.6)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return figure


def _shortened(name: str, most: int = 22) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
