"""The mask-quality report: how well predicted mask IoUs tell the true ones, as HTML and json."""

import json
from pathlib import Path

from maskrcnn_benchmark.evaluation.coco_evaluator import find_evaluator
from maskrcnn_benchmark.evaluation.ground_truth import renumber_ground_truth
from maskrcnn_benchmark.evaluation.mask_ious import MaskIous
from maskrcnn_benchmark.evaluation.matched_masks import match_masks
from maskrcnn_benchmark.evaluation.ranked_masks import EvaluatedMasks, RankedMasks
from maskrcnn_benchmark.report.annotations import read_annotations
from maskrcnn_benchmark.report.detections import read_detections
from maskrcnn_benchmark.report.folder import make_folder, written_together
from maskrcnn_benchmark.report.mask_quality import numbers
from maskrcnn_benchmark.report.mask_quality.numbers import Json
from maskrcnn_benchmark.report.mask_quality.page import Pictures, quality_page
from maskrcnn_benchmark.report.mask_quality.pictures import describe_masks, draw_masks

HTML, JSON = "mask_quality.html", "mask_quality.json"
SHOWN = 12  # over-rated and under-rated masks


def report_mask_quality(
    predictions: str | Path,
    annotations: str | Path,
    output: str | Path,
    *,
    images: str | Path | None = None,
    evaluator: str = "pycocotools",
) -> Path:
    """Write ``mask_quality.html`` and ``mask_quality.json`` for a file of detected masks.

    Args:
        predictions: see ``read_detections``.
        annotations: the annotations in COCO's format.
        output: folder; created if needed.
        images: folder of the images; None: no pictures.
        evaluator: see ``evaluate_coco``.

    Returns:
        The path of the page.

    Raises:
        FileNotFoundError: a file or folder is missing.
        ValueError: a file is invalid, or they do not belong together, or there is a file in place
            of the folder.
    """
    if images is not None and not Path(images).is_dir():
        raise FileNotFoundError(f"image folder {images} does not exist")
    chosen = find_evaluator(evaluator)
    make_folder(output)
    coco = read_annotations(annotations)
    found = read_detections(predictions, coco)
    masks = MaskIous(renumber_ground_truth(coco, "segm"), found.rows)
    evaluated = EvaluatedMasks(coco, found, masks, chosen)
    title = f"Mask quality: {Path(predictions).name} on {Path(annotations).name}"
    return write_mask_quality(evaluated, output, title=title, images=images)


def write_mask_quality(
    evaluated: EvaluatedMasks, output: str | Path, *, title: str, images: str | Path | None = None
) -> Path:
    """Write the report of masks whose IoUs are known; return the path of the page.

    Args:
        evaluated: the masks.
        output: folder; created if needed.
        title: of the page.
        images: folder of the images; None: no pictures.

    Raises:
        UserError: an image of a picture cannot be read.
        OSError: the folder cannot be written to.
    """
    coco, found = evaluated.coco, evaluated.found
    matched = match_masks(found, evaluated.masks)
    ranked = RankedMasks(evaluated.masks)
    evaluations = {
        key: evaluated.evaluations.get(key) or ranked.evaluate(scores.tolist(), evaluated.evaluator)
        for key, scores in numbers.rankings_of(matched).items()
    }
    ap = numbers.ap_numbers(evaluations)
    content: Json = {
        "title": title,
        "images": len(coco.imgs),
        "objects": sum(not a["iscrowd"] for a in evaluated.masks.truth.coco.dataset["annotations"]),
        "masks": len(matched),
        "not_judged": int((~matched.is_judged).sum()),
        "unknown": numbers.unknown_sentences(matched),
        "correlation": numbers.correlation_numbers(matched),
        "calibration": numbers.calibration_numbers(matched),
        "ap": ap,
        "head_room": numbers.head_room_numbers(ap),
        "ap_per_class": numbers.class_numbers(evaluations),
        "precision": numbers.precision_numbers(evaluations),
        "ap_by_iou": numbers.threshold_numbers(evaluations),
        "kept": numbers.risk_numbers(matched),
    }
    pictures: Pictures = {}
    for name, over in (("over_rated", True), ("under_rated", False)):
        indices = numbers.extreme_masks(matched, over=over, limit=SHOWN)
        content[name] = describe_masks(matched, indices.tolist(), coco)
        if images is not None:
            pictures[name] = draw_masks(content[name], found.rows, matched, coco, images)
    page = quality_page(content, matched, pictures)
    with written_together(output, (HTML, JSON)) as folder:
        (folder / HTML).write_text(page.html(), encoding="utf-8")
        text = json.dumps(content, indent=1, allow_nan=False)
        (folder / JSON).write_text(text + "\n", encoding="utf-8")
    return Path(output) / HTML
