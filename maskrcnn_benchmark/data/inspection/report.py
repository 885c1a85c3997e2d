"""The report of an inspection: a Markdown page, a table of all problems, and figures."""

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from maskrcnn_benchmark.data.coco_json.problems import Problem
from maskrcnn_benchmark.data.inspection.inspect import Inspection
from maskrcnn_benchmark.data.inspection.pictures import (
    draw_histograms,
    draw_overlays,
    draw_problems,
)
from maskrcnn_benchmark.visualization.fonts import one_line

_SHOWN_IDS = 10
_MARKUP = re.compile(r"[\\`*_\[\]<>&$|~#]")  # special in Markdown, HTML or formulas
_SIZES = (
    ("small, up to 32 x 32", 0, 32**2),
    ("medium", 32**2, 96**2),
    ("large, from 96 x 96", 96**2, float("inf")),
)


def write_report(inspection: Inspection, folder: Path, output: Path, *, title: str) -> Path:
    """Write ``report.md``, ``problems.csv``, ``histograms.png`` and contact sheets.

    Args:
        inspection: the result to report.
        folder: the image folder.
        output: output folder, created if needed.
        title: title of the page.

    Returns:
        The path of ``report.md``.
    """
    output.mkdir(parents=True, exist_ok=True)
    with (output / "problems.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("severity", "kind", "image_id", "annotation_id", "text"))
        writer.writerows(
            (p.severity, p.kind, p.image_id, p.annotation_id, p.text) for p in inspection.problems
        )
    draw_histograms(inspection, output / "histograms.png")
    sheets = [
        (heading, name)
        for heading, name, draw in (
            ("Annotations in question", "problems.png", draw_problems),
            ("Annotated images", "overlays.png", draw_overlays),
        )
        if draw(inspection, folder, output / name)
    ]
    parts = [f"# {_as_written(title)}", summary(inspection)]
    parts += ["## Histograms", "![histograms](histograms.png)"]
    for heading, name in sheets:
        parts += [f"## {heading}", f"![{heading.lower()}]({name})"]
    parts += ["## Classes", _class_table(inspection)]
    path = output / "report.md"
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return path


def summary(inspection: Inspection) -> str:
    """Return the statistics of a data set and its problems by kind as Markdown tables."""
    rows = [("kind of problem", "", "number", "first ids")]
    by_kind: defaultdict[tuple[str, str], list[Problem]] = defaultdict(list)
    for problem in inspection.problems:
        by_kind[problem.kind, problem.severity].append(problem)
    for (kind, severity), problems in by_kind.items():
        rows.append((kind, severity, str(len(problems)), _ids(problems)))
    found = _table(rows) if by_kind else "No problems found."
    return f"{_table(_figures(inspection))}\n\n{found}"


def _ids(problems: Sequence[Problem]) -> str:
    """Return the first annotation ids of some problems, or else image ids."""
    of_annotations = [p.annotation_id for p in problems if p.annotation_id is not None]
    of_images = [p.image_id for p in problems if p.image_id is not None]
    ids = of_annotations or of_images
    if not ids:
        return ""
    rest = ", ..." if len(ids) > _SHOWN_IDS else ""
    shown = ", ".join(map(str, ids[:_SHOWN_IDS]))
    return f"{'annotation' if of_annotations else 'image'} {shown}{rest}"


def _figures(inspection: Inspection) -> list[tuple[str, str]]:
    images = inspection.images.values()
    crowds = sum(a["iscrowd"] for a in inspection.annotations)
    instances = [a for a in inspection.annotations if not a["iscrowd"]]
    per_image = Counter(a["image_id"] for a in instances)
    empty = inspection.empty_images()
    used = {a["category_id"] for a in inspection.annotations}
    rows = [("figure", "value"), ("images", str(len(images)))]
    if images:
        low, high = (
            tuple(f(i[k] for i in images) for k in ("width", "height")) for f in (min, max)
        )
        rows.append(("widths, heights", f"{low[0]} to {high[0]}, {low[1]} to {high[1]}"))
        rows.append(
            (
                "instances per image",
                f"{len(instances) / len(images):.1f}, at most {max(per_image.values(), default=0)}",
            )
        )
    first = f", the first ids are {empty[:_SHOWN_IDS]}" if empty else ""
    rows += [
        ("images without annotations", f"{len(empty)}{first}"),
        ("files without an entry", str(inspection.unlisted_files)),
        ("instances", str(len(instances))),
        *((f"{name}", str(_count_boxes(instances, low, high))) for name, low, high in _SIZES),
        ("crowds", str(crowds)),
        ("learned", str(inspection.learned)),
        ("classes, with annotations", f"{len(inspection.names)}, {len(used)}"),
        ("errors", str(inspection.num_errors)),
        ("warnings", str(len(inspection.problems) - inspection.num_errors)),
    ]
    return rows


def _count_boxes(instances: Iterable[dict[str, Any]], low: float, high: float) -> int:
    return sum(low <= a["bbox"][2] * a["bbox"][3] < high for a in instances)


def _class_table(inspection: Inspection) -> str:
    instances = Counter(a["category_id"] for a in inspection.annotations if not a["iscrowd"])
    images = Counter(
        c for _, c in {(a["image_id"], a["category_id"]) for a in inspection.annotations}
    )
    rows = [("category id", "name", "instances", "images")]
    rows += [
        (str(i), _as_written(name), str(instances[i]), str(images[i]))
        for i, name in inspection.names.items()
    ]
    return _table(rows)


def _as_written(text: str) -> str:
    """Escape a text for Markdown, on one line."""
    return _MARKUP.sub(r"\\\g<0>", one_line(text))


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, aligned so that it reads well as plain text."""
    clean = [list(row) for row in rows]
    widths = [max(len(row[i]) for row in clean) for i in range(len(clean[0]))]
    clean.insert(1, ["-" * max(width, 3) for width in widths])
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in clean
    )
