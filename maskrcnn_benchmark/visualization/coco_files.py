"""Read the result files of an evaluation for drawing."""

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from maskrcnn_benchmark.structures.fields import CLASS_SCORE, MASK_IOU
from maskrcnn_benchmark.visualization.instances import Instances, labels_of

Row = dict[str, Any]


def _instances(rows: list[tuple[Row, Row]], names: Mapping[int, str]) -> Instances:
    """Return the detections of one image from its rows in the two files."""
    xywh = np.array([box["bbox"] for box, _ in rows], np.float64)
    has_ious = all(MASK_IOU.key in mask for _, mask in rows)
    mask_ious = [mask[MASK_IOU.key] for _, mask in rows] if has_ious else None
    return Instances(
        masks=[mask["segmentation"] for _, mask in rows],
        boxes=np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:] - 1], axis=1),
        labels=labels_of([box["category_id"] for box, _ in rows], names),
        names=[names[box["category_id"]] for box, _ in rows],
        scores=np.array([box[CLASS_SCORE.key] for box, _ in rows], np.float64),
        mask_ious=None if mask_ious is None else np.array(mask_ious, np.float64),
    )


def load_detections(
    folder: str | Path, names: Mapping[int, str], *, min_score: float = 0.5
) -> dict[int, Instances]:
    """Return the detections that an evaluation wrote, by image id.

    Args:
        folder: contains ``bbox.json`` (with class scores) and ``segm.json`` with matching rows, as
            written by ``inference``; rows without ``mask_iou``, from a model without a MaskIoU
            head, give detections without mask IoUs.
        names: class name of each category id, in the order of the annotation file.
        min_score: detections with a lower class score are omitted.

    Returns:
        Only images with detections; each sorted by descending class score.

    Raises:
        FileNotFoundError: there is no evaluation in the folder.
        ValueError: the rows of the two files do not match.
    """
    boxes, masks = (
        json.loads((Path(folder) / f).read_text(encoding="utf-8"))
        for f in ("bbox.json", "segm.json")
    )
    if len(boxes) != len(masks):
        raise ValueError(f"{folder}: bbox.json has {len(boxes)} rows, segm.json {len(masks)}")
    rows: defaultdict[int, list[tuple[Row, Row]]] = defaultdict(list)
    for box, mask in zip(boxes, masks, strict=True):
        if (box["image_id"], box["category_id"]) != (mask["image_id"], mask["category_id"]):
            raise ValueError(f"{folder}: the rows of bbox.json and segm.json differ in their order")
        if box[CLASS_SCORE.key] >= min_score:
            rows[box["image_id"]].append((box, mask))
    for of_image in rows.values():
        of_image.sort(key=lambda row: -row[0][CLASS_SCORE.key])
    return {image_id: _instances(of_image, names) for image_id, of_image in rows.items()}
