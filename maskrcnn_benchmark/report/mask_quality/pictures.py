"""Pictures of the masks whose quality was predicted worst."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pycocotools.coco import COCO

from maskrcnn_benchmark.evaluation.matched_masks import MatchedMasks
from maskrcnn_benchmark.report.crops import draw_pair, read_annotated_image
from maskrcnn_benchmark.report.mask_quality.numbers import Json
from maskrcnn_benchmark.report.page import Captioned
from maskrcnn_benchmark.structures.fields import CLASS_SCORE, MASK_IOU
from maskrcnn_benchmark.visualization.instances import from_coco_annotations

_HALF = 300  # pixels of the longer side of each half of a pair


def describe_masks(matched: MatchedMasks, indices: Sequence[int], coco: COCO) -> list[Json]:
    """Return what the json says of some masks: ids, scores, true IoU; rows count from 0."""
    made = []
    for index in indices:
        annotation = coco.dataset["annotations"][matched.annotations[index]]
        image_id, category_id = matched.image_ids[index], matched.category_ids[index]
        made.append(
            {
                "row": int(index),
                "image_id": image_id,
                "file_name": coco.imgs[image_id]["file_name"],
                "category_id": category_id,
                "category": coco.cats[category_id]["name"],
                "annotation_id": annotation.get("source_id", annotation["id"]),
                "true_iou": float(matched.true_ious[index]),
                **{key: float(values[index]) for key, values in matched.scores.items()},
            }
        )
    return made


def draw_masks(
    found: Sequence[Json],
    rows: Sequence[Mapping[str, Any]],
    matched: MatchedMasks,
    coco: COCO,
    images: str | Path,
) -> list[Captioned]:
    """Return a picture of each mask beside its annotation.

    Args:
        found: see ``describe_masks``.
        rows: all detected masks, see ``DetectedMasks``.
        matched: the same.
        coco: the annotations.
        images: their folder.

    Raises:
        UserError: an image is missing, cannot be read, or has another size.
    """
    names = {category_id: category["name"] for category_id, category in coco.cats.items()}
    made = []
    for one in found:
        entry = coco.imgs[one["image_id"]]
        size = (entry["height"], entry["width"])
        annotation = coco.dataset["annotations"][matched.annotations[one["row"]]]
        mask = {
            **annotation,
            "category_id": one["category_id"],
            "segmentation": rows[one["row"]]["segmentation"],
        }
        pair = [from_coco_annotations([each], names, size) for each in (annotation, mask)]
        image = read_annotated_image(images, entry)
        made.append(Captioned(draw_pair(image, *pair, long_side=_HALF), _lines(one)))
    return made


def _lines(one: Json) -> list[str]:
    scores = f"predicted IoU {one[MASK_IOU.key]:.2f}, true IoU {one['true_iou']:.2f}"
    if CLASS_SCORE.key in one:
        scores += f", class score {one[CLASS_SCORE.key]:.2f}"
    where = f"{one['file_name']}, image {one['image_id']}, annotation {one['annotation_id']}"
    return [f"{one['category']}: {scores}", where]
