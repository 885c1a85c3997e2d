"""Ground truth as pycocotools can be trusted with it."""

import contextlib
import io
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pycocotools.coco import COCO

Row = dict[str, Any]


@dataclass(frozen=True)
class GroundTruth:
    """Annotations whose images, categories and themselves are numbered from 1.

    pycocotools takes annotation id 0 for no match and equal ids for one object, and turns image
    ids of mixed types into texts.

    Attributes:
        coco: the annotations; a category has a name of its own.
        image_numbers: number of each image id of the file.
        category_numbers: number of each category id of the file.
    """

    coco: COCO
    image_numbers: dict[Any, int]
    category_numbers: dict[Any, int]

    def rows(self, rows: Sequence[Row]) -> list[Row]:
        """Return rows of COCO's json with these numbers in place of the file's ids."""
        return [
            {
                **row,
                "image_id": self.image_numbers[row["image_id"]],
                "category_id": self.category_numbers[row["category_id"]],
            }
            for row in rows
        ]


def number_ground_truth(coco: COCO, iou_type: str) -> GroundTruth:
    """Return the ground truth of a task.

    Args:
        coco: the annotations, each with ``bbox``, ``area``, ``iscrowd`` and, where it has a mask, a
            well-formed ``segmentation``. It stays as it is.
        iou_type: ``bbox`` or ``segm``. For masks an instance that has none becomes an ignored
            region of its box: a mask there is neither right nor wrong.
    """
    images = {image_id: number for number, image_id in enumerate(coco.imgs, 1)}
    categories = {category_id: number for number, category_id in enumerate(coco.cats, 1)}
    names = class_names(coco)
    annotations = []
    for number, annotation in enumerate(coco.dataset["annotations"], 1):
        image_id = annotation["image_id"]
        made = {
            **annotation,
            "id": number,
            "image_id": images[image_id],
            "category_id": categories[annotation["category_id"]],
        }
        if iou_type == "segm" and not has_mask(annotation):
            made |= {"iscrowd": 1, "segmentation": [_outline(annotation, coco.imgs[image_id])]}
        annotations.append(made)
    numbered = COCO()
    numbered.dataset = {
        "images": [{**coco.imgs[i], "id": number} for i, number in images.items()],
        "categories": [{"id": number, "name": names[i]} for i, number in categories.items()],
        "annotations": annotations,
    }
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
        numbered.createIndex()
    return GroundTruth(numbered, images, categories)


def has_mask(annotation: Row) -> bool:
    """Return whether an annotation has a mask beside its box."""
    return bool(annotation.get("segmentation"))


def _outline(annotation: Row, image: Row) -> list[float]:
    """Return the box, as far as it lies in its image, as a polygon."""
    x, y, w, h = annotation["bbox"]
    x1, x2 = (min(max(value, 0), image["width"]) for value in (x, x + w))
    y1, y2 = (min(max(value, 0), image["height"]) for value in (y, y + h))
    return [x1, y1, x2, y1, x2, y2, x1, y2]


def class_names(coco: COCO) -> dict[Any, str]:
    """Return the name of each category id; those that share a name are told apart by their ids."""
    names = {category_id: str(category["name"]) for category_id, category in coco.cats.items()}
    times = Counter(names.values())
    told_apart = {
        i: name if times[name] == 1 else f"{name} (id {i!r})" for i, name in names.items()
    }
    if len(set(told_apart.values())) == len(names):
        return told_apart
    return {i: f"{name} (id {i!r})" for i, name in names.items()}


def log_what_is_evaluated(coco: COCO, tasks: Sequence[str]) -> None:
    """Log how many instances are evaluated, and why others are ignored."""
    annotations = coco.dataset["annotations"]
    reasons = Counter(a.get("left_out", "crowd") for a in annotations if a["iscrowd"])
    left = len(annotations) - sum(reasons.values())
    text = f"{left} of {len(annotations)} instances are evaluated"
    if reasons:
        text += "; ignored: " + ", ".join(f"{n} ({why})" for why, n in reasons.items())
    without = sum(not a["iscrowd"] and not has_mask(a) for a in annotations)
    if without and any(task != "bbox" for task in tasks):
        text += f"; {without} have no mask and are ignored where masks are evaluated"
    logging.getLogger(__name__).info(text)
