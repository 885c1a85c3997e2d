"""Histograms and contact sheets of a data set."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter
from PIL import Image

from maskrcnn_benchmark.data.coco_json.problems import Entry
from maskrcnn_benchmark.data.datasets.images import read_image
from maskrcnn_benchmark.data.inspection.inspect import Inspection
from maskrcnn_benchmark.utils.file_names import name_on_disk
from maskrcnn_benchmark.visualization import (
    contact_sheet,
    draw_instances,
    from_coco_annotations,
)
from maskrcnn_benchmark.visualization.fonts import one_line, plain_text

_CELLS = 12  # pictures on a sheet
_CELL = (640, 480)  # width, height
_CLASSES = 40  # bars, at most


def draw_histograms(inspection: Inspection, path: Path) -> None:
    """Plot instances per image, box sizes and instances per class into one image file."""
    with plain_text(inspection.names.values()):
        _histograms(inspection).savefig(path, dpi=110)


def _histograms(inspection: Inspection) -> Figure:
    instances = [a for a in inspection.annotations if not a["iscrowd"]]
    per_image = Counter(a["image_id"] for a in instances)
    counts = [per_image[image_id] for image_id in inspection.images]
    sides = [np.sqrt(a["bbox"][2] * a["bbox"][3]) for a in instances if min(a["bbox"][2:]) > 0]
    by_class = Counter(a["category_id"] for a in instances).most_common(_CLASSES)
    figure = Figure(figsize=(14, 4 + 0.12 * len(by_class)), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    most = max(counts, default=0)
    left.hist(counts, bins=np.arange(0, most + 2, max(1, most // 40)) - 0.5)
    left.set(title="instances per image", xlabel="instances", ylabel="images")
    if sides:
        middle.hist(sides, bins=np.geomspace(min(sides), max(sides) + 1e-6, 40).tolist())
        middle.set_xscale("log")
        middle.xaxis.set_major_formatter(LogFormatter())
        middle.xaxis.set_minor_formatter(LogFormatter(labelOnlyBase=False))
    for edge in (32, 96):
        middle.axvline(edge, color="black", linewidth=0.8, linestyle=":")
    middle.set(title="size of boxes", xlabel="square root of the area, pixels", ylabel="instances")
    names = [one_line(inspection.names[category_id]) for category_id, _ in by_class]
    right.barh(range(len(names)), [count for _, count in by_class])
    right.set_yticks(range(len(names)), names, fontsize=8)
    right.invert_yaxis()
    title = "instances per class" if len(by_class) < _CLASSES else f"the {_CLASSES} largest classes"
    right.set(title=title, xlabel="instances")
    return figure


def draw_overlays(inspection: Inspection, folder: Path, path: Path) -> bool:
    """Draw annotated images, sampled evenly, on a contact sheet; return False if there is none."""
    by_image = _by_image(inspection)
    ids = list(by_image)
    spread = [ids[i] for i in np.linspace(0, len(ids) - 1, min(_CELLS, len(ids))).astype(int)]
    chosen = {image_id: by_image[image_id] for image_id in spread}
    return _draw_sheet(
        inspection, folder, path, chosen, lambda a: inspection.names[a["category_id"]]
    )


def draw_problems(inspection: Inspection, folder: Path, path: Path) -> bool:
    """Draw annotations with their problems on a contact sheet; return False if there is none."""
    kinds: defaultdict[int | None, list[str]] = defaultdict(list)
    for problem in inspection.problems:
        kinds[problem.number].append(problem.kind)
    chosen = {
        image_id: found
        for image_id, annotations in _by_image(inspection).items()
        if (found := [a for a in annotations if a["id"] in kinds])
    }
    first = dict(list(chosen.items())[:_CELLS])
    return _draw_sheet(
        inspection,
        folder,
        path,
        first,
        lambda a: f"{a['source_id']}: {', '.join(dict.fromkeys(kinds[a['id']]))}",
    )


def _by_image(inspection: Inspection) -> dict[Any, list[Entry]]:
    """Group the annotations that can be drawn by image."""
    by_image: defaultdict[Any, list[Entry]] = defaultdict(list)
    for annotation in inspection.annotations:
        by_image[annotation["image_id"]].append(annotation)
    broken = {
        p.image_id
        for p in inspection.problems
        if p.kind in ("missing file", "unreadable file", "size unlike the file's")
    }
    return {
        image_id: by_image[image_id]
        for image_id in inspection.images
        if image_id in by_image and image_id not in broken
    }


def _draw_sheet(
    inspection: Inspection,
    folder: Path,
    path: Path,
    chosen: Mapping[Any, Sequence[Entry]],
    text: Callable[[Entry], str],
) -> bool:
    """Draw the chosen annotations of each image with boxes; return False if there is none."""
    pictures, titles = [], []
    for image_id, shown in chosen.items():
        entry = inspection.images[image_id]
        size = (entry["width"], entry["height"])
        picture = np.asarray(read_image(folder / name_on_disk(entry["file_name"]), size))
        drawn = [_drawable(a, entry) | {"category_id": i} for i, a in enumerate(shown)]
        names = {i: text(a) for i, a in enumerate(shown)}
        instances = from_coco_annotations(drawn, names, picture.shape[:2])
        pictures.append(draw_instances(picture, instances, draw_boxes=True, long_side=_CELL[0]))
        titles.append(f"image {image_id}: {entry['file_name']}")
    if pictures:
        sheet = contact_sheet(pictures, titles, columns=4, cell_size=_CELL)
        Image.fromarray(sheet).save(path)
    return bool(pictures)


def _drawable(annotation: Entry, image: Entry) -> Entry:
    """Return the annotation, with its box as the mask if it has none."""
    if annotation["segmentation"] is not None:
        return annotation
    x, y, w, h = annotation["bbox"]
    x1, x2 = np.clip([x, x + w], 0, image["width"]).tolist()
    y1, y2 = np.clip([y, y + h], 0, image["height"]).tolist()
    return {**annotation, "segmentation": [[x1, y1, x2, y1, x2, y2, x1, y2]]}
