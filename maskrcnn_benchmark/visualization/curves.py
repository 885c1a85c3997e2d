"""Plot training curves from the ``metrics.jsonl`` of each run."""

import json
import logging
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from maskrcnn_benchmark.utils.file_names import fitted_name
from maskrcnn_benchmark.visualization.fonts import one_line, plain_text

_FILE = "metrics.jsonl"
_COLUMNS = 3
_LINE_STYLES = ("-", "--", ":", "-.")
_EVALUATION = re.compile(r"(?P<task>.+)_(?P<metric>A[PR][\w@]*)")  # such as segm_AP50
DEFAULT_KEYS = r"loss.*|lr|.+_A[PR][\w@]*"

Curve = tuple[list[int], list[float]]  # iterations, values
Run = dict[str, Curve]


def read_metrics(folder: str | Path) -> Run:
    """Read the metrics of a run.

    A truncated last line, as left by a crash, is skipped, and so are values that are not numbers.

    Args:
        folder: OUTPUT_DIR of the run.

    Returns:
        The curve of each key by iteration; empty for an empty file. Not every key has a value at
        every iteration.

    Raises:
        FileNotFoundError: there is no ``metrics.jsonl``.
        ValueError: a line before the last is broken.
    """
    path = Path(folder) / _FILE
    if not path.is_file():
        raise FileNotFoundError(f"{folder} has no {_FILE}: is it the OUTPUT_DIR of a training run?")
    values: defaultdict[str, dict[int, float]] = defaultdict(dict)
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for line_number, line in enumerate(lines, 1):
        try:
            metrics = json.loads(line)
            iteration = int(metrics.pop("iteration"))
        except (ValueError, TypeError, KeyError, AttributeError):
            if line_number == len(lines):
                break
            raise ValueError(
                f"{path}, line {line_number}: {line!r:.80} is not a line of metrics"
            ) from None
        for key, value in metrics.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                values[key][iteration] = float(value)
    return {
        key: (sorted(curve), [curve[i] for i in sorted(curve)]) for key, curve in values.items()
    }


def plot_runs(folders: Sequence[str | Path], path: str | Path, *, keys: str = DEFAULT_KEYS) -> None:
    """Plot losses, learning rate and AP against the iteration, with one color per run.

    Each key has a panel of its own; metrics of the same name (``bbox_AP``, ``segm_AP``) share one.

    Args:
        folders: OUTPUT_DIR of each run; a warning names those whose file is empty.
        path: image to write; its suffix selects the format (png, pdf, svg).
        keys: regular expression that the whole key must match to be plotted.

    Raises:
        FileNotFoundError: a folder has no ``metrics.jsonl``.
        ValueError: a file is broken, no metric matches ``keys``, or the format is unknown.
    """
    try:
        drawn = re.compile(keys)
    except re.error as error:
        raise ValueError(f"{keys!r} is not a regular expression: {error}") from error
    runs = dict(zip(_names(folders), map(read_metrics, folders), strict=True))
    for name in (name for name, run in runs.items() if not run):
        logging.getLogger(__name__).warning(f"{name}: {_FILE} holds no metrics yet")
    panels = _panels({key for run in runs.values() for key in run if drawn.fullmatch(key)})
    if not panels:
        listed = ", ".join(map(str, folders))
        raise ValueError(f"nothing to plot: no metric in {_FILE} of {listed} matches {keys!r}")
    path = Path(path)
    unfinished = path.with_name(fitted_name(f"unfinished-{path.stem}", path.suffix))
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with plain_text([*runs, *panels]):
            _draw_panels(panels, runs).savefig(unfinished, dpi=150)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _names(folders: Sequence[str | Path]) -> list[str]:
    """Return the shortest path suffixes that distinguish the runs."""
    parts = [Path(folder).resolve().parts for folder in folders]
    for length in range(1, max(map(len, parts), default=1) + 1):
        names = ["/".join(p[-length:]) for p in parts]
        if len(set(names)) == len(set(parts)):
            break
    return names


def _panels(keys: Iterable[str]) -> dict[str, list[str]]:
    """Return the keys of each panel: the loss, its parts, the learning rate, the evaluation."""
    panels: defaultdict[str, list[str]] = defaultdict(list)
    for key in sorted(keys, key=lambda k: (not k.startswith("loss"), k != "lr", k)):
        match = _EVALUATION.fullmatch(key)
        panels[match["metric"] if match else key].append(key)
    return panels


def _draw_panels(panels: Mapping[str, list[str]], runs: Mapping[str, Run]) -> Figure:
    """Return a figure of all panels."""
    rows, columns = math.ceil(len(panels) / _COLUMNS), min(len(panels), _COLUMNS)
    figure = Figure(figsize=(4.2 * columns, 3 * rows), layout="constrained")
    for place, (title, of_panel) in enumerate(panels.items(), 1):
        _draw_panel(figure.add_subplot(rows, columns, place), title, of_panel, runs)
    return figure


def _draw_panel(axes: Axes, title: str, keys: list[str], runs: Mapping[str, Run]) -> None:
    """Plot the curves of some keys: one line style per key, one color per run (or per key)."""
    for index, (name, run) in enumerate(runs.items()):
        for style, key in enumerate(keys):
            if key not in run:
                continue
            task = key.removesuffix(f"_{title}") if key != title else ""
            label = ": ".join(part for part in (name if len(runs) > 1 else "", task) if part)
            color = f"C{index if len(runs) > 1 else style}"
            _draw_curve(
                axes,
                run[key],
                color=color,
                style=style,
                label=label,
                smooth=title.startswith("loss"),
            )
    axes.set_title(one_line(title), fontsize=10)
    axes.set_xlabel("iteration", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)
    if len(runs) > 1 or keys != [title]:
        axes.legend(fontsize=7)


def _draw_curve(
    axes: Axes, curve: Curve, *, color: str, style: int, label: str, smooth: bool
) -> None:
    """Plot a curve; if smoothed, a long one is thin, with its running mean on top."""
    iterations, values = np.array(curve[0]), np.array(curve[1])
    line: dict[str, Any] = {
        "color": color,
        "linestyle": _LINE_STYLES[style % len(_LINE_STYLES)],
        # matplotlib leaves labels that begin with _ out of the legend
        "label": one_line(f" {label}" if label.startswith("_") else label),
    }
    window = len(values) // 50
    if window < 3 or not smooth:
        axes.plot(iterations, values, marker="." if len(values) < 20 else "", **line)
        return
    axes.plot(iterations, values, color=color, alpha=0.25, linewidth=0.8)
    mean = np.convolve(values, np.full(window, 1 / window), mode="valid")
    axes.plot(iterations[window // 2 :][: len(mean)], mean, **line)
