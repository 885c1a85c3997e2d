"""Unlabeled images: predictions as annotations to start from, and which image to label first.

Of the detections of an image, with mask scores ``m`` (class scores of a model without them), the
doubt is ``sum(m * (1 - m)) / sum(m)``, from 0 to 1: the share of what was found that is expected to
be wrong. Faint detections hardly count beside sure ones. Where nothing is found it is 1, the
limit of fainter and fainter detections.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from maskrcnn_benchmark.predict.prediction import Prediction
from maskrcnn_benchmark.predict.results_file import load_results_file
from maskrcnn_benchmark.report.crops import read_annotated_image
from maskrcnn_benchmark.report.folder import written_together
from maskrcnn_benchmark.report.page import Captioned, Page
from maskrcnn_benchmark.review.table import write_csv, write_json
from maskrcnn_benchmark.structures.fields import CLASS_SCORE, MASK_SCORE
from maskrcnn_benchmark.visualization.draw import draw_instances

COLUMNS = ("rank", "image_id", "file_name", "doubt", "objects")
FILES = ("index.html", "order.csv", "order.json", "pre_annotations.json")

_LONG_SIDE = 640  # pixels of a picture of the page


class Doubt(NamedTuple):
    """How much doubt there is about an image: its entry in the file, and its predictions."""

    value: float
    entry: dict[str, Any]
    prediction: Prediction


def doubt(scores: Sequence[float]) -> float:
    """Return the doubt about an image by the scores of its detections, see above."""
    kept = [min(max(score, 0.0), 1.0) for score in scores]
    total = sum(kept)
    return sum(m * (1 - m) for m in kept) / total if total > 0 else 1.0


def order_images(predictions: str | Path) -> list[Doubt]:
    """Return the images of a file of ``tools/predict.py``, the most doubtful first.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not such a file.
    """
    found = load_results_file(predictions)
    doubts = [Doubt(doubt(one.ranking().tolist()), entry, one) for entry, one in found]
    return sorted(doubts, key=lambda each: -each.value)


def write_unlabeled(
    doubts: Sequence[Doubt],
    predictions: str | Path,
    images: str | Path,
    output: str | Path,
    *,
    threshold: float = 0.5,
    top: int = 100,
) -> Path:
    """Write ``index.html``, ``order.csv``, ``order.json`` and ``pre_annotations.json``.

    Args:
        doubts: see ``order_images``.
        predictions: the file that they are from; ids stay as they are there.
        images: folder of the images.
        output: the folder to write to; created if needed.
        threshold: least score of a detection that becomes an annotation.
        top: how many images the page shows.

    Returns:
        The path of the page.

    Raises:
        UserError: an image is missing or cannot be read; then nothing is written.
    """
    content = json.loads(Path(predictions).read_text(encoding="utf-8"))
    kept = [row for row in content["annotations"] if _score(row) >= threshold]
    entries = [each.entry for each in doubts]
    rows = [
        {
            "rank": rank,
            "image_id": each.entry["id"],
            "file_name": each.entry["file_name"],
            "doubt": each.value,
            "objects": len(each.prediction.select(threshold=threshold)),
        }
        for rank, each in enumerate(doubts, 1)
    ]
    with written_together(output, FILES) as folder:
        page = _page(doubts[:top], rows, images, threshold)
        (folder / "index.html").write_text(page.html(), encoding="utf-8")
        write_csv(folder / "order.csv", COLUMNS, rows)
        write_json(folder / "order.json", rows)
        write_json(
            folder / "pre_annotations.json", {**content, "images": entries, "annotations": kept}
        )
    return Path(output) / "index.html"


def _score(row: dict[str, Any]) -> float:
    return float(row.get(MASK_SCORE.key, row[CLASS_SCORE.key]))


def _page(
    doubts: Sequence[Doubt], rows: Sequence[dict[str, Any]], images: str | Path, threshold: float
) -> Page:
    page = Page(
        "Images to label first",
        f"{len(rows)} images with {sum(row['objects'] for row in rows)} predicted objects of a "
        f"score of {threshold:g} or more: pre_annotations.json. order.csv lists all images.",
    )
    page.section("The most doubtful first")
    if not rows:
        page.text("There are no images.")
    else:
        page.text(f"Drawn are the predictions of a score of {threshold / 2:g} or more.")
    pictures = []
    for each, row in zip(doubts, rows, strict=False):
        image = read_annotated_image(images, each.entry)
        shown = each.prediction.select(threshold=threshold / 2)
        lines = [
            f"{row['rank']}. {row['file_name']}, doubt {row['doubt']:.2f}",
            f"pre-annotated objects: {row['objects']} of {len(shown)} drawn",
        ]
        pictures.append(Captioned(draw_instances(image, shown, long_side=_LONG_SIDE), lines))
    page.pictures(pictures)
    page.section("Doubt")
    page.formula("doubt = sum(m · (1 − m)) / sum(m), m the mask scores of an image's detections")
    page.text(
        "The share of what was found that is expected to be wrong, from 0 to 1. It is 1 where "
        "nothing was found."
    )
    return page
