"""The files of a review: a page for people, tables for programs."""

from pathlib import Path

from pycocotools.coco import COCO

from maskrcnn_benchmark.evaluation.matched_masks import DetectedMasks
from maskrcnn_benchmark.report.folder import written_together
from maskrcnn_benchmark.review.findings import Review
from maskrcnn_benchmark.review.page import findings_page
from maskrcnn_benchmark.review.table import COLUMNS, finding_row, write_csv, write_json

FILES = ("index.html", "findings.csv", "findings.json")


def write_review(
    review: Review,
    coco: COCO,
    detected: DetectedMasks,
    images: str | Path,
    output: str | Path,
    *,
    title: str,
    top: int = 100,
) -> Path:
    """Write ``index.html``, ``findings.csv`` and ``findings.json``.

    Args:
        review: see ``review_labels``.
        coco: the annotations.
        detected: the predictions.
        images: folder of the images.
        output: the folder to write to; created if needed.
        title: heading of the page.
        top: how many findings the page shows.

    Returns:
        The path of the page.

    Raises:
        UserError: see ``findings_page``; then nothing is written.
    """
    rows = [finding_row(one, rank, coco, detected) for rank, one in enumerate(review.findings, 1)]
    with written_together(output, FILES) as folder:
        page = findings_page(title, review, rows[:top], coco, images)
        (folder / "index.html").write_text(page.html(), encoding="utf-8")
        write_csv(folder / "findings.csv", COLUMNS, rows)
        write_json(folder / "findings.json", rows)
    return Path(output) / "index.html"
