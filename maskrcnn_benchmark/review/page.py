"""The findings as an HTML page: pairs of pictures, the most suspicious first."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pycocotools.coco import COCO

from maskrcnn_benchmark.report.crops import draw_pair, read_annotated_image
from maskrcnn_benchmark.report.page import Captioned, Page
from maskrcnn_benchmark.review.findings import EXTRA, KINDS, MISSING, Finding, Review
from maskrcnn_benchmark.review.table import Row
from maskrcnn_benchmark.structures.fields import CLASS_SCORE, MASK_IOU
from maskrcnn_benchmark.structures.rle import to_rle
from maskrcnn_benchmark.visualization.instances import Instances

_LIKELY = 0.5  # suspicion
_FEW = 0.5  # found of the annotated objects

_FORMULAS = (
    (
        "poor mask",
        "s · (1 − exp(−z² / 2)), z = max(0, (q − r − usual) / spread)",
        "of the prediction of this class with the largest s · r",
    ),
    ("wrong class", "s · q · r − support by its own class", "of a prediction of another class"),
    ("missing object", "s · q · (1 − r)", "of a prediction that overlaps no annotation much"),
    (
        "extra object",
        "mean s of the ten annotations of its class nearest in area − s",
        "s the largest of a prediction there, of any class",
    ),
)


def findings_page(
    title: str, review: Review, rows: Sequence[Row], coco: COCO, images: str | Path
) -> Page:
    """Return the page.

    Args:
        title: its heading.
        review: what was found.
        rows: ``finding_row`` of the first findings, which are shown.
        coco: the annotations.
        images: folder of the images.

    Raises:
        UserError: an image is missing, cannot be read, or has another size than annotated.
    """
    annotations, findings = coco.dataset["annotations"], review.findings
    judged = sum(not annotation["iscrowd"] for annotation in annotations)
    page = Page(
        title,
        f"{judged} annotations in {len(coco.imgs)} images, compared with the predictions of a "
        "model. Left: the annotation. Right: the prediction.",
    )
    counts = Counter(finding.kind for finding in findings if finding.suspicion >= _LIKELY)
    page.facts([(f"{kind}, suspicion {_LIKELY} or more", str(counts[kind])) for kind in KINDS])
    page.note(
        "A model that learned from these labels repeats their errors: review each half of the "
        "images with a model that was trained on the other half."
    )
    if judged and review.found < _FEW:
        page.note(
            f"The model finds only {100 * review.found:.0f} % of the annotated objects (class "
            "score 0.5 or more, mask IoU 0.3 or more), so its disagreement says little."
        )
    page.section("The most suspicious first")
    if not rows:
        page.text("Nothing is suspicious.")
    elif len(rows) < len(findings):
        page.text(
            f"The first {len(rows)} of {len(findings)}; findings.csv and findings.json list all."
        )
    page.pictures(
        [
            Captioned(_draw(finding, row, coco, images), _caption(row))
            for finding, row in zip(findings, rows, strict=False)
        ]
    )
    _explain(page)
    return page


def _explain(page: Page) -> None:
    page.section("How suspicious, from 0 to 1")
    page.text(
        "Of a prediction: s the class score, q the predicted mask IoU, s · q the mask score; r is "
        "the mask IoU of prediction and annotation. Usual and spread: median and deviation of "
        "q − r in these annotations. Each annotation is listed once, under the kind with the "
        "highest suspicion."
    )
    for kind, formula, of in _FORMULAS:
        page.formula(f"{kind}: {formula}, {of}")


def _draw(finding: Finding, row: Row, coco: COCO, images: str | Path) -> Any:
    entry = coco.imgs[finding.image_id]
    annotation, prediction = Instances(), Instances()
    if finding.annotation is not None:
        mask = coco.dataset["annotations"][finding.annotation]["segmentation"]
        annotation = Instances(masks=[to_rle(mask, entry["height"], entry["width"])])
    if row["segmentation"] is not None:
        prediction = Instances(masks=[row["segmentation"]])
    return draw_pair(read_annotated_image(images, entry), annotation, prediction)


def _caption(row: Row) -> list[str]:
    """Return what is suspicious, what it is about, and why."""
    head = f"{row['rank']}. {row['kind']}, suspicion {row['suspicion']:.2f}"
    about = f"image {row['image_id']!r}, {row['file_name']}"
    if row["kind"] != MISSING:
        known = row["annotation_id"]
        name = f"number {row['annotation_number']}" if known is None else f"id {known!r}"
        about = f"annotation {name} ({row['category']}), {about}"
    if row["predicted_category"] is None:
        return [head, about, "no prediction there"]
    words = {CLASS_SCORE.key: "class score", MASK_IOU.key: "predicted mask IoU"}
    scores = [f"{word} {row[key]:.2f}" for key, word in words.items() if row[key] is not None]
    why = f"predicted {row['predicted_category']}: {', '.join(scores)}"
    if row["kind"] == EXTRA:
        return [head, about, f"at best {why}"]
    other = "any annotation" if row["kind"] == MISSING else "the annotation"
    return [head, about, f"{why}; IoU with {other} {row['iou']:.2f}"]
