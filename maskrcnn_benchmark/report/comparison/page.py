"""The comparison of two models as an HTML page and as JSON."""

import json
import math
from pathlib import Path
from typing import Any

from maskrcnn_benchmark.evaluation.comparison import MIN_IMAGES, Difference
from maskrcnn_benchmark.evaluation.ground_truth import class_names
from maskrcnn_benchmark.report.comparison.charts import draw_differences
from maskrcnn_benchmark.report.comparison.compare import Comparison
from maskrcnn_benchmark.report.comparison.pictures import (
    DifferingObject,
    differing_objects,
    draw_objects,
    scores_of,
)
from maskrcnn_benchmark.report.comparison.tables import (
    CORRECTED,
    by_difference,
    difference_row,
    header,
    interval,
    percent,
    verdict,
)
from maskrcnn_benchmark.report.folder import written_together
from maskrcnn_benchmark.report.page import Page

PAGE, NUMBERS = "comparison.html", "comparison.json"
_SIZES = {"AP": "all", "APs": "small", "APm": "medium", "APl": "large"}
_CHART_ROWS = 24


def write_comparison(
    comparison: Comparison, output: str | Path, *, images: str | Path | None
) -> None:
    """Write ``comparison.html`` and ``comparison.json``.

    Args:
        comparison: two models.
        output: folder.
        images: folder of the images; None: the page has no pictures.

    Raises:
        UserError: an image is missing or of another size than annotated.
    """
    objects = differing_objects(comparison)
    page = _page(comparison)
    _add_pictures(page, comparison, objects, images)
    content = json.dumps(_numbers(comparison, objects), indent=1)
    with written_together(output, (PAGE, NUMBERS)) as draft:
        (draft / PAGE).write_text(page.html(), encoding="utf-8")
        (draft / NUMBERS).write_text(content + "\n", encoding="utf-8")


def _page(comparison: Comparison) -> Page:
    a, b = comparison.a, comparison.b
    names = (a.name, b.name)
    page = Page(
        f"{b.name} compared with {a.name}",
        f"A is {a.name} ({a.path}), B is {b.name} ({b.path}), on {len(comparison.coco.imgs)} "
        "images. Differences are B minus A.",
    )
    page.facts(
        [
            (
                f"AP of {title}: {verdict(one, names)} (95 %: {interval(one)})",
                percent(one.difference, signed=True),
            )
            for task, title in comparison.titles.items()
            for one in (comparison.tasks[task].overall["AP"],)
        ]
    )
    settings = comparison.settings
    page.text(
        f"The images were resampled {settings.resamples} times (seed {settings.seed}), with the "
        "same images for both models. The interval is the difference ± 1.96 standard deviations "
        "of it over the resamples; p is the probability of at least this difference between "
        f"equally good models. Below p = 0.05 a difference is called significant; with objects in "
        f"fewer than {MIN_IMAGES} images nothing is concluded. All this is about the choice of "
        "images: another training run of the same model differs too."
    )
    if a.masks and b.masks and a.has_mask_scores != b.has_mask_scores:
        without = a if b.has_mask_scores else b
        page.note(f"{without.name} has no mask scores: the score of its file ranks its masks.")
    for task, title in comparison.titles.items():
        _add_task(page, comparison, task, title)
    return page


def _add_task(page: Page, comparison: Comparison, task: str, title: str) -> None:
    found = comparison.tasks[task]
    names = (comparison.a.name, comparison.b.name)
    page.section(title[0].upper() + title[1:])
    aps = by_difference(found)
    charts = [
        (
            draw_differences(found.overall, names),
            "Differences of the metrics of all classes with 95 % intervals. Gray: not significant; "
            "hollow: too few images.",
        )
    ]
    if len(aps) > 1:
        known = [name for name in aps if not math.isnan(aps[name].difference)]
        shown = sorted(known[:_CHART_ROWS], key=lambda name: -aps[name].difference)
        which = "all" if len(aps) <= _CHART_ROWS else f"the {_CHART_ROWS} most different"
        chart = draw_differences({name: aps[name] for name in shown}, names)
        charts.append((chart, f"AP of {which} classes. Gray: not significant, when corrected."))
    page.figures(charts)
    page.table(
        header(comparison, "percent"),
        [difference_row(comparison, *pair) for pair in found.overall.items()],
    )
    if len(aps) > 1:
        page.table(
            header(comparison, "class"),
            [difference_row(comparison, *pair) for pair in aps.items()],
            f"AP of each class, the greatest difference first. {CORRECTED}",
        )
        page.table(
            ["difference", *_SIZES.values()],
            [[name, *(_marked(found.per_class[name][key]) for key in _SIZES)] for name in aps],
            "AP differences by size of the object (COCO's areas); * is significant after the "
            "correction for the number of classes.",
        )


def _marked(one: Difference) -> str:
    return percent(one.difference, signed=True) + ("*" if one.verdict in ("A", "B") else "")


def _add_pictures(
    page: Page,
    comparison: Comparison,
    objects: tuple[list[DifferingObject], list[DifferingObject]],
    images: str | Path | None,
) -> None:
    """Add the objects that one of the models finds better."""
    kind = "boxes" if comparison.object_task == "bbox" else "masks"
    page.section("Objects that differ most")
    page.text(
        f"By the IoU of the best detection of the class of the object ({kind}) with a class score "
        f"of at least {comparison.settings.min_score:g}. From left to right: annotation, A, B."
    )
    if images is None:
        page.note("No pictures: give the folder of the images (--images).")
        return
    for model, own in zip((comparison.a, comparison.b), objects, strict=True):
        page.text(f"{model.name} is better" + (":" if own else " on no object."))
        page.pictures(draw_objects(comparison, own, images))


def _numbers(
    comparison: Comparison, objects: tuple[list[DifferingObject], list[DifferingObject]]
) -> dict[str, Any]:
    """Return everything on the page for JSON; NaN is null."""
    a, b = comparison.a, comparison.b
    settings = comparison.settings
    tasks = {
        task: {
            "title": title,
            "overall": {
                name: _as_json(one) for name, one in comparison.tasks[task].overall.items()
            },
            "per_class": {
                name: {metric: _as_json(one) for metric, one in metrics.items()}
                for name, metrics in comparison.tasks[task].per_class.items()
            },
        }
        for task, title in comparison.titles.items()
    }
    return {
        "a": {"name": a.name, "path": str(a.path)},
        "b": {"name": b.name, "path": str(b.path)},
        "images": len(comparison.coco.imgs),
        "resamples": settings.resamples,
        "seed": settings.seed,
        "min_score": settings.min_score,
        "tasks": tasks,
        "objects": {
            "iou": comparison.object_task,
            "a_is_better": [_object(comparison, one) for one in objects[0]],
            "b_is_better": [_object(comparison, one) for one in objects[1]],
        },
    }


def _as_json(one: Difference) -> dict[str, Any]:
    values = {
        "a": one.a,
        "b": one.b,
        "difference": one.difference,
        "low": one.low,
        "high": one.high,
        "p_value": one.p_value,
    }
    known = {key: None if math.isnan(value) else value for key, value in values.items()}
    return {**known, "images": one.images, "verdict": one.verdict}


def _object(comparison: Comparison, one: DifferingObject) -> dict[str, Any]:
    annotation = comparison.coco.dataset["annotations"][one.annotation]
    entry = comparison.coco.imgs[annotation["image_id"]]
    made = {
        "annotation_id": annotation.get("source_id", annotation["id"]),
        "image_id": annotation["image_id"],
        "file_name": entry["file_name"],
        "class": class_names(comparison.coco)[annotation["category_id"]],
    }
    for letter, model, iou, row in zip(
        "ab", (comparison.a, comparison.b), one.ious, one.rows, strict=True
    ):
        made[letter] = {"iou": iou, **scores_of(model, row, comparison.object_task)}
    return made
