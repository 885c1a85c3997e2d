"""Findings as rows for people and programs, with the ids of the annotation file."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pycocotools.coco import COCO

from maskrcnn_benchmark.evaluation.ground_truth import class_names
from maskrcnn_benchmark.evaluation.matched_masks import DetectedMasks
from maskrcnn_benchmark.review.findings import Finding
from maskrcnn_benchmark.structures.fields import SCORE_KINDS
from maskrcnn_benchmark.structures.rle import rle_box

Row = dict[str, Any]

COLUMNS = (
    *("rank", "kind", "suspicion", "image_id", "file_name", "annotation_id", "annotation_number"),
    *("category", "predicted_category", *SCORE_KINDS, "iou", "bbox"),
)


def finding_row(finding: Finding, rank: int, coco: COCO, detected: DetectedMasks) -> Row:
    """Return a finding with everything that a reader needs to look it up.

    Returns:
        ``rank`` (from 1), ``kind``, ``suspicion``, ``image_id``, ``file_name``, ``annotation_id``,
        ``annotation_number`` (its position in the file, from 1, where ids are missing or
        repeated), ``category`` (annotated), ``predicted_category``, the scores, ``iou``, ``bbox``
        (of the annotation or the missing object) and ``segmentation`` (of the prediction). What
        does not apply is None.
    """
    names = class_names(coco)
    row: Row = dict.fromkeys((*COLUMNS, "segmentation"))
    row |= {"rank": rank, "kind": finding.kind, "suspicion": finding.suspicion}
    row |= {"image_id": finding.image_id, "iou": finding.iou}
    row["file_name"] = coco.imgs[finding.image_id]["file_name"]
    if finding.prediction is not None:
        found = detected.rows[finding.prediction]
        row["predicted_category"] = names[found["category_id"]]
        row |= {key: float(values[finding.prediction]) for key, values in detected.scores.items()}
        row |= {"bbox": rle_box(found["segmentation"]), "segmentation": found["segmentation"]}
    if finding.annotation is not None:
        annotation = coco.dataset["annotations"][finding.annotation]
        row |= {"annotation_id": annotation["source_id"], "annotation_number": annotation["id"]}
        row |= {"category": names[annotation["category_id"]], "bbox": annotation["bbox"]}
    return row


def write_json(path: Path, content: Any) -> None:
    """Write a value as UTF-8 JSON; names that are not valid text stay as they were, escaped."""
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as UTF-8 CSV with a header; lists become numbers separated by spaces.

    Any text is quoted as needed, so that it is read back as it was; bytes of a file name that are
    not UTF-8 are written as they are on the disk.
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _cell(row[key]) for key in columns} for row in rows)
    path.write_bytes(text.getvalue().encode("utf-8", "surrogateescape"))


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, list):
        return " ".join(f"{number:g}" for number in value)
    return value
