"""The figures of a mask-quality report: small ones, so that their text is legible on a phone."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from maskrcnn_benchmark.evaluation.mask_ious import Floats
from maskrcnn_benchmark.report.mask_quality.numbers import BEST, ORACLE, Json
from maskrcnn_benchmark.structures.fields import CLASS_SCORE, MASK_IOU, MASK_SCORE

_SIZE = (4.6, 3.9)  # inches
_FEW = 3000  # masks that are drawn one by one
_CELLS = 40  # on each side of a density

NAMES = {
    CLASS_SCORE.key: "class score",
    MASK_IOU.key: "predicted mask IoU",
    MASK_SCORE.key: "mask score",
    ORACLE: "oracle",
    BEST: "best order",
}
_LINES: dict[str, dict[str, Any]] = {
    CLASS_SCORE.key: {"color": "#c8641a", "linewidth": 2},
    MASK_IOU.key: {"color": "#7a3fb0", "linewidth": 1.6, "linestyle": (0, (5, 2))},
    MASK_SCORE.key: {"color": "#1464b4", "linewidth": 2},
    ORACLE: {"color": "#222222", "linewidth": 1.4, "linestyle": "--"},
    BEST: {"color": "#222222", "linewidth": 1.4, "linestyle": ":"},
}
_INK = "#1464b4"


def _axes(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    """Return a figure of one square from 0 to 1."""
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel=x, ylabel=y)
    axes.set_title(title, fontsize=11)
    axes.grid(alpha=0.25)
    return figure, axes


def draw_density(scores: Floats, true: Floats, *, name: str, title: str) -> Figure:
    """Draw the true mask IoU of N masks against a score, one by one or by their density."""
    figure, axes = _axes(title, name, "true mask IoU")
    if len(true) <= _FEW:
        opacity = float(np.clip(60 / max(len(true), 1), 0.15, 0.6))
        axes.scatter(scores.clip(0, 1), true, s=14, color=_INK, alpha=opacity, linewidths=0)
    else:
        cells = axes.hexbin(
            scores.clip(0, 1),
            true,
            gridsize=_CELLS,
            extent=(0, 1, 0, 1),
            norm=LogNorm(vmin=1),
            cmap="viridis",
            mincnt=1,
            linewidths=0.1,
        )
        figure.colorbar(cells, ax=axes, label="masks", shrink=0.85)
    axes.plot([0, 1], [0, 1], color="#666666", linewidth=1, linestyle="--")
    return figure


def draw_reliability(numbers: Json, title: str) -> Figure:
    """Draw the mean true IoU of each bin of predicted IoU, with the number of masks below."""
    figure = Figure(figsize=_SIZE, layout="constrained")
    upper, lower = figure.subplots(
        2, 1, sharex=True, gridspec_kw={"height_ratios": (3.2, 1), "hspace": 0.03}
    )
    bins = [one for one in numbers["bins"] if one["count"]]
    predicted, true = ([one[key] for one in bins] for key in ("mean_predicted", "mean_true"))
    middles = [(one["from"] + one["to"]) / 2 for one in bins]
    width = 0.92 / max(len(numbers["bins"]), 1)
    upper.plot([0, 1], [0, 1], color="#666666", linewidth=1, linestyle="--")
    upper.bar(middles, true, width=width, color="#9ec5ea", edgecolor="#1464b4", linewidth=0.8)
    # the gap that the calibration error adds up
    upper.vlines(predicted, true, predicted, color="#c23b22", linewidth=2)
    upper.plot(predicted, true, "o", color="#1464b4", markersize=4.5)
    upper.set(xlim=(0, 1), ylim=(0, 1), ylabel="mean true IoU")
    upper.set_title(title, fontsize=11)
    upper.grid(alpha=0.25)
    lower.bar(middles, [one["count"] for one in bins], width=width, color="#9aa3ad")
    lower.set(xlabel="predicted mask IoU", ylabel="masks")
    lower.locator_params(axis="y", nbins=3)
    return figure


def draw_precision(curves: Mapping[str, Sequence[float]], title: str) -> Figure:
    """Draw precision against recall for each ranking: ``[101]`` each, or empty."""
    figure, axes = _axes(title, "recall", "precision, mean over classes")
    for key, curve in curves.items():
        if curve:
            axes.plot(np.linspace(0, 1, len(curve)), curve, label=NAMES[key], **_LINES[key])
    _legend(axes)
    return figure


def draw_thresholds(numbers: Json) -> Figure:
    """Draw the AP at each IoU threshold for each ranking."""
    figure, axes = _axes("AP at each mask IoU", "least mask IoU of a mask that counts", "AP")
    axes.set_xlim(0.5, 0.95)
    for key, values in numbers["ap"].items():
        if values:
            axes.plot(numbers["iou"], values, label=NAMES[key], **_LINES[key])
    _legend(axes)
    return figure


def draw_kept(curves: Mapping[str, Json], title: str) -> Figure:
    """Draw the mean true IoU of the masks kept against the share kept, for each score."""
    figure, axes = _axes(title, "share of the masks kept, best scores first", "mean true IoU")
    for key, of_key in curves.items():
        curve = of_key["curve"]
        if curve:
            shares = np.arange(1, len(curve) + 1) / len(curve)
            axes.plot(shares, curve, label=NAMES[key], **_LINES[key])
    _legend(axes)
    return figure


def _legend(axes: Axes) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=9, loc="best", framealpha=0.85)
