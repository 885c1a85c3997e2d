"""Ground truth in a form that pycocotools evaluates correctly."""

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
    """Annotations whose images, categories and annotations have the ids 1, 2, 3, ...

    pycocotools treats annotation id 0 as "no match" and equal ids as one object, and converts image
    ids of mixed types to strings.

    Attributes:
        coco: the annotations; category names are unique.
        image_ids: the new id of each image id in the file.
        category_ids: the new id of each category id in the file.
    """

    coco: COCO
    image_ids: dict[Any, int]
    category_ids: dict[Any, int]

    def rows(self, rows: Sequence[Row]) -> list[Row]:
        """Return rows of COCO's JSON with the new ids in place of the file's."""
        return [
            {
                **row,
                "image_id": self.image_ids[row["image_id"]],
                "category_id": self.category_ids[row["category_id"]],
            }
            for row in rows
        ]


def renumber_ground_truth(coco: COCO, iou_type: str) -> GroundTruth:
    """Return the ground truth of a task, with new ids.

    Args:
        coco: the annotations (not modified), each with ``bbox``, ``area``, ``iscrowd`` and, if it
            has a mask, a well-formed ``segmentation``, if it has keypoints, ``keypoints`` and
            ``num_keypoints``.
        iou_type: ``bbox``, ``segm`` or ``keypoints``. Instances without an annotated keypoint are
            ignored in the last. For masks, the box of an instance without a mask becomes an
            ignored region: a mask there is neither true nor false positive.
    """
    images = {image_id: new_id for new_id, image_id in enumerate(coco.imgs, 1)}
    categories = {category_id: new_id for new_id, category_id in enumerate(coco.cats, 1)}
    names = class_names(coco)
    length = keypoints_length(coco)
    annotations = []
    for new_id, annotation in enumerate(coco.dataset["annotations"], 1):
        image_id = annotation["image_id"]
        made = {
            **annotation,
            "id": new_id,
            "image_id": images[image_id],
            "category_id": categories[annotation["category_id"]],
        }
        if iou_type == "segm" and not has_mask(annotation):
            made |= {"iscrowd": 1, "segmentation": [_outline(annotation, coco.imgs[image_id])]}
        if iou_type == "keypoints" and "keypoints" not in annotation:
            made |= {"keypoints": [0] * length, "num_keypoints": 0}
        annotations.append(made)
    renumbered = COCO()
    renumbered.dataset = {
        "images": [{**coco.imgs[i], "id": new_id} for i, new_id in images.items()],
        "categories": [{"id": new_id, "name": names[i]} for i, new_id in categories.items()],
        "annotations": annotations,
    }
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
        renumbered.createIndex()
    return GroundTruth(renumbered, images, categories)


def keypoints_length(coco: COCO) -> int:
    """Return the length of ``keypoints`` of the annotations, 3 for each; 0 if none has any."""
    return max((len(a.get("keypoints", ())) for a in coco.dataset["annotations"]), default=0)


def has_mask(annotation: Row) -> bool:
    """Return whether an annotation has a mask in addition to its box."""
    return bool(annotation.get("segmentation"))


def _outline(annotation: Row, image: Row) -> list[float]:
    """Return the box, clipped to its image, as a polygon."""
    x, y, w, h = annotation["bbox"]
    x1, x2 = (min(max(value, 0), image["width"]) for value in (x, x + w))
    y1, y2 = (min(max(value, 0), image["height"]) for value in (y, y + h))
    return [x1, y1, x2, y1, x2, y2, x1, y2]


def class_names(coco: COCO) -> dict[Any, str]:
    """Return the name of each category id; the id is appended to names that are not unique."""
    names = {category_id: str(category["name"]) for category_id, category in coco.cats.items()}
    times = Counter(names.values())
    told_apart = {
        i: name if times[name] == 1 else f"{name} (id {i!r})" for i, name in names.items()
    }
    if len(set(told_apart.values())) == len(names):
        return told_apart
    return {i: f"{name} (id {i!r})" for i, name in names.items()}


def log_evaluated_instances(coco: COCO, tasks: Sequence[str]) -> None:
    """Log how many instances are evaluated, and why the others are ignored."""
    annotations = coco.dataset["annotations"]
    reasons = Counter(a.get("left_out", "crowd") for a in annotations if a["iscrowd"])
    left = len(annotations) - sum(reasons.values())
    text = f"{left} of {len(annotations)} instances are evaluated"
    if reasons:
        text += "; ignored: " + ", ".join(f"{n} ({why})" for why, n in reasons.items())
    without = sum(not a["iscrowd"] and not has_mask(a) for a in annotations)
    if without and "segm" in tasks:
        text += f"; {without} have no mask and are ignored in mask evaluation"
    without = sum(not a["iscrowd"] and not a.get("num_keypoints") for a in annotations)
    if without and "keypoints" in tasks:
        text += f"; {without} have no keypoints and are ignored in keypoint evaluation"
    logging.getLogger(__name__).info(text)
