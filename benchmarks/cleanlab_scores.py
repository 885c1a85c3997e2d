"""The box scores of cleanlab (AGPL; ``pip install cleanlab scikit-learn``) as suspicions."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO

from maskrcnn_benchmark.evaluation.matched_masks import DetectedMasks, as_boxes
from maskrcnn_benchmark.structures.fields import CLASS_SCORE
from maskrcnn_benchmark.utils.user_error import MissingPackageError

Floats = NDArray[np.float64]
Scores = Mapping[str, Floats]


def cleanlab_suspicions(coco: COCO, detected: DetectedMasks) -> Scores:
    """Return 1 minus cleanlab's scores, with its default settings.

    Args:
        coco: the annotations; crowds are no labels.
        detected: the predictions, with class scores.

    Returns:
        ``overlooked`` ``[P]``, of each prediction; ``badly located`` and ``swapped`` ``[A]``, of
        each annotation. 0 where cleanlab gives no score.
    """
    try:
        from cleanlab.object_detection import rank
    except ImportError as error:
        raise MissingPackageError(
            "the comparison needs cleanlab: pip install cleanlab scikit-learn"
        ) from error
    labels, of_labels = _labels(coco)
    predictions, of_predictions = _predictions(coco, detected)
    functions = {
        "overlooked": (rank.compute_overlooked_box_scores, of_predictions, len(detected.rows)),
        "badly located": (rank.compute_badloc_box_scores, of_labels, len(coco.anns)),
        "swapped": (rank.compute_swap_box_scores, of_labels, len(coco.anns)),
    }
    suspicions = {}
    for name, (compute, indices, count) in functions.items():
        suspicions[name] = np.zeros(count)
        scores = compute(labels=labels, predictions=predictions)
        for own, values in zip(indices, scores, strict=True):
            suspicions[name][own] = 1 - np.nan_to_num(np.asarray(values, np.float64), nan=1.0)
    return suspicions


def _corners(xywh: Floats) -> Floats:
    return np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)


def _labels(coco: COCO) -> tuple[list[dict[str, Any]], list[list[int]]]:
    """Return cleanlab's labels of each image, and the indices of their annotations."""
    classes = {category_id: index for index, category_id in enumerate(coco.cats)}
    annotations = coco.dataset["annotations"]
    own: dict[Any, list[int]] = defaultdict(list)
    for index, annotation in enumerate(annotations):
        if not annotation["iscrowd"]:
            own[annotation["image_id"]].append(index)
    labels = [
        {
            "bboxes": _corners(as_boxes([annotations[i]["bbox"] for i in own[image_id]])),
            "labels": np.array(
                [classes[annotations[i]["category_id"]] for i in own[image_id]], int
            ),
        }
        for image_id in coco.imgs
    ]
    return labels, [own[image_id] for image_id in coco.imgs]


def _predictions(coco: COCO, detected: DetectedMasks) -> tuple[list[Any], list[list[int]]]:
    """Return cleanlab's predictions of each image, by class, and the indices of the detections."""
    cells: dict[tuple[Any, Any], list[int]] = defaultdict(list)
    for index, row in enumerate(detected.rows):
        cells[row["image_id"], row["category_id"]].append(index)
    scores = detected.scores[CLASS_SCORE.key]
    predictions, indices = [], []
    for image_id in coco.imgs:
        of_image = np.empty(len(coco.cats), dtype=object)
        for number, category_id in enumerate(coco.cats):
            own = cells[image_id, category_id]
            boxes = _corners(detected.boxes[own])
            of_image[number] = np.concatenate([boxes, scores[own][:, None]], axis=1)
        predictions.append(of_image)
        indices.append([i for category_id in coco.cats for i in cells[image_id, category_id]])
    return predictions, indices
