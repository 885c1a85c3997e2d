"""The report and the pictures of the demo."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from maskrcnn_benchmark.data.datasets.images import read_image
from maskrcnn_benchmark.visualization import (
    Instances,
    contact_sheet,
    draw_instances,
    from_coco_annotations,
    load_detections,
)

PICTURES = 8
SHOWN_SCORE = 0.5
FOUND = "box IoU > 0.5"  # the group of detections in results.json


def draw_pictures(data: Path, detections_folder: Path, output: Path) -> None:
    """Write ground truth beside detections for the first images, and all on one sheet.

    Args:
        data: folder of the drawn data set.
        detections_folder: of the evaluation, with its ``bbox.json`` and ``segm.json``.
        output: receives the pictures; created if need be.
    """
    annotation_file = data / "annotations" / "instances_val.json"
    truth = json.loads(annotation_file.read_text(encoding="utf-8"))
    names = {c["id"]: c["name"] for c in truth["categories"]}
    detections = load_detections(detections_folder, names, min_score=SHOWN_SCORE)
    output.mkdir(parents=True, exist_ok=True)
    pairs = []
    for entry in truth["images"][:PICTURES]:
        picture = np.asarray(read_image(data / "val" / entry["file_name"]))
        size = (entry["height"], entry["width"])
        annotations = [a for a in truth["annotations"] if a["image_id"] == entry["id"]]
        found = detections.get(entry["id"], Instances())
        drawn = [
            draw_instances(picture, instances, long_side=960)
            for instances in (from_coco_annotations(annotations, names, size), found)
        ]
        pairs.append(contact_sheet(drawn, ["ground truth", "detections"], columns=2))
        Image.fromarray(pairs[-1]).save(output / entry["file_name"])
    if pairs:
        sheet = contact_sheet(pairs, columns=2, cell_size=(1200, 520))
        Image.fromarray(sheet).save(output / "all.png")


def write_report(folder: Path, evaluation: Path, title: str) -> Path:
    """Write ``report.md``.

    Args:
        folder: receives it; the pictures are in its ``pictures/``.
        evaluation: folder of the evaluation, inside ``folder``, with its ``results.json``.
        title: of the report.

    Returns:
        The path of the report.
    """
    content = json.loads((evaluation / "results.json").read_text(encoding="utf-8"))
    results = content["results"]
    rows = (
        ("boxes, ranked by class score", "bbox"),
        ("masks, ranked by class score", "segm_by_class_score"),
        ("masks, ranked by mask score", "segm"),
    )
    lines = [f"# {title}", "", "| | AP | AP50 | AP75 |", "|---|---|---|---|"]
    for row, task in rows:
        if task in results:
            values = [f"{100 * results[task][m]:.1f}" for m in ("AP", "AP50", "AP75")]
            lines.append(f"| {row} | {' | '.join(values)} |")
    if "segm_by_class_score" in results:
        gain = 100 * (results["segm"]["AP"] - results["segm_by_class_score"]["AP"])
        lines += ["", f"What the mask score brings: **{gain:+.2f} AP**."]
    quality = content["mask_quality"].get(FOUND, {})
    if quality.get("pearson") is not None:
        lines += [
            "",
            f"Correlation with the true mask IoU, over the {quality['count']} detections that found"
            f" an object ({FOUND}): predicted mask IoU {quality['pearson']:.2f}, "
            f"class score {quality['class_score_pearson']:.2f}.",
        ]
    if (page := evaluation / "mask_quality" / "mask_quality.html").is_file():
        place = page.relative_to(folder).as_posix()
        lines += ["", f"How well the masks are scored: [{place}]({place})."]
    lines += ["", "![ground truth and detections](pictures/all.png)", ""]
    path = folder / "report.md"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path
