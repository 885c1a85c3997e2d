"""The objects that one of two models finds better than the other."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from maskrcnn_benchmark.evaluation.ground_truth import class_names
from maskrcnn_benchmark.report.comparison.compare import Comparison
from maskrcnn_benchmark.report.comparison.results import ModelResult, Row
from maskrcnn_benchmark.report.crops import draw_panels, read_annotated_image
from maskrcnn_benchmark.report.page import Captioned
from maskrcnn_benchmark.structures.fields import CLASS_SCORE, MASK_IOU, MASK_SCORE, SCORE_KINDS
from maskrcnn_benchmark.structures.rle import to_rle
from maskrcnn_benchmark.visualization.instances import Instances, labels_of

_LEAST_DIFFERENCE = 0.05  # of the IoU
_WORDS = {
    CLASS_SCORE.key: "class score",
    MASK_IOU.key: "mask IoU",
    MASK_SCORE.key: "mask score",
}


class DifferingObject(NamedTuple):
    """An object that one model finds better.

    Attributes:
        annotation: its index in the annotations.
        ious: the IoU of the best detection of each model; 0 if there is none.
        rows: index of this detection in the rows of the model; -1 if there is none.
    """

    annotation: int
    ious: tuple[float, float]
    rows: tuple[int, int]


def differing_objects(
    comparison: Comparison,
) -> tuple[list[DifferingObject], list[DifferingObject]]:
    """Return the objects that A finds better, and those that B does; the greatest difference first.

    There are at most ``Settings.pictures`` of each.
    """
    most = comparison.settings.pictures
    a, b = comparison.found
    difference = np.nan_to_num(b.ious - a.ious)

    def chosen(better: Any) -> list[DifferingObject]:
        order = np.argsort(-better, kind="stable")[:most]
        return [
            DifferingObject(
                int(i),
                (float(a.ious[i]), float(b.ious[i])),
                (int(a.rows[i]), int(b.rows[i])),
            )
            for i in order
            if better[i] >= _LEAST_DIFFERENCE
        ]

    return chosen(-difference), chosen(difference)


def draw_objects(
    comparison: Comparison, objects: Sequence[DifferingObject], images: str | Path
) -> list[Captioned]:
    """Draw each object three times: the annotation, the detection of A, that of B.

    Raises:
        UserError: an image is missing or of another size than annotated.
    """
    coco = comparison.coco
    names = class_names(coco)
    drawn = []
    for one in objects:
        annotation = coco.dataset["annotations"][one.annotation]
        entry = coco.imgs[annotation["image_id"]]
        image = read_annotated_image(images, entry)
        task = comparison.object_task
        found = [
            _detection(model, row, task)
            for model, row in zip((comparison.a, comparison.b), one.rows, strict=True)
        ]
        shown = annotation | {"segmentation": None} if task == "bbox" else annotation
        panels = [_instance(row, entry, names) for row in (shown, *found)]
        where = f"{names[annotation['category_id']]}, {entry['file_name']}"
        lines = [
            f"{where}, annotation {annotation.get('source_id', annotation['id'])!r}",
            *(
                f"{letter} · {model.name}: {_caption(model, row, task, iou)}"
                for letter, model, row, iou in zip(
                    "AB", (comparison.a, comparison.b), one.rows, one.ious, strict=True
                )
            ),
        ]
        drawn.append(Captioned(draw_panels(image, panels), lines))
    return drawn


def _instance(row: Row | None, entry: Row, names: Mapping[Any, str]) -> Instances:
    """Return an annotation or a detection to draw, its mask or its box; None is nothing."""
    if row is None:
        return Instances()
    labels = labels_of([row["category_id"]], names)
    if row.get("segmentation"):
        mask = to_rle(row["segmentation"], entry["height"], entry["width"])
        return Instances(masks=[mask], labels=labels)
    x, y, width, height = row["bbox"]
    return Instances(boxes=np.array([[x, y, x + width - 1, y + height - 1]]), labels=labels)


def _detection(model: ModelResult, row: int, task: str) -> Row | None:
    if row < 0:
        return None
    rows = model.boxes if task == "bbox" else model.masks and model.masks.rows
    assert rows
    return rows[row]


def scores_of(model: ModelResult, row: int, task: str) -> dict[str, float]:
    """Return the known scores of a detection by the keys of ``SCORE_KINDS``; {} for row -1."""
    if row < 0:
        return {}
    if task == "bbox":
        return {CLASS_SCORE.key: (model.boxes or [])[row]["score"]}
    assert model.masks is not None
    known = model.masks.scores
    return {key: float(known[key][row]) for key in SCORE_KINDS if key in known}


def _caption(model: ModelResult, row: int, task: str, iou: float) -> str:
    if row < 0:
        return "not found"
    scores = scores_of(model, row, task)
    words = (f"{_WORDS[key]} {value:.2f}" for key, value in scores.items())
    return f"IoU {iou:.2f} ({', '.join(words)})"
