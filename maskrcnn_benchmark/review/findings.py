"""The suspicious annotations of a data set, and the objects that lack one."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from maskrcnn_benchmark.evaluation.ground_truth import GroundTruth, renumber_ground_truth
from maskrcnn_benchmark.evaluation.mask_ious import ANY_CLASS, MaskIous
from maskrcnn_benchmark.evaluation.matched_masks import DetectedMasks
from maskrcnn_benchmark.review.suspicion import (
    NO_PREDICTION,
    Evidence,
    Floats,
    Usual,
    extra_objects,
    missing_objects,
    poor_masks,
    presence,
    shortfalls,
    usual_shortfall,
    wrong_classes,
)
from maskrcnn_benchmark.structures.fields import CLASS_SCORE, MASK_IOU, MASK_SCORE

POOR_MASK, WRONG_CLASS, MISSING, EXTRA = (
    "poor mask",
    "wrong class",
    "missing object",
    "extra object",
)
KINDS = (POOR_MASK, WRONG_CLASS, MISSING, EXTRA)

_SURE = 0.5  # class score
_NEGLIGIBLE = 0.01  # suspicion
_ALIKE = 10  # annotations of similar area
_DUPLICATE = 0.5  # IoU of two predictions of one object that lacks an annotation


@dataclass(frozen=True)
class Finding:
    """One suspicion.

    Attributes:
        kind: one of ``KINDS``.
        suspicion: from 0 to 1, see ``suspicion``.
        image_id: id of the annotation file.
        annotation: index in the annotations; None for a missing object.
        prediction: index in the detections: the one that disagrees; for an extra object, the one
            that supports it most. None if there is none.
        iou: mask IoU of prediction and annotation; of a missing object, the largest with any.
    """

    kind: str
    suspicion: float
    image_id: Any
    annotation: int | None
    prediction: int | None
    iou: float


@dataclass(frozen=True)
class Review:
    """What a review found.

    Attributes:
        findings: the most suspicious first.
        found: share of the judged annotations that a prediction of a class score of 0.5 or more
            can mean, whatever its class; 0 without annotations. If it is small, the model's
            disagreement says little.
    """

    findings: list[Finding]
    found: float


@dataclass(frozen=True)
class _Image:
    """The evidence of an image, with the indices of its annotations and predictions."""

    image_id: Any
    annotations: Sequence[int]
    predictions: Sequence[int]
    evidence: Evidence


def review_labels(coco: COCO, detected: DetectedMasks, *, by: str = MASK_SCORE.key) -> Review:
    """Compare annotations with predictions of a model that did not learn from them.

    Args:
        coco: the annotations, see ``report.annotations.read_annotations``. Crowds, and boxes
            without a mask, are not judged, and predictions in them are not missed.
        detected: the predictions, with class scores, or with mask scores and predicted IoUs.
        by: ``mask_score``, or ``score`` to leave the predicted mask IoUs aside.

    Returns:
        At most one finding for an annotation, of the kind with the highest suspicion, and one for
        each predicted object without annotation; the most suspicious first. Suspicions below 0.01
        are left out.

    Raises:
        ValueError: the predictions have no such score.
    """
    class_scores, expected_ious = trusted_scores(detected, by)
    truth = renumber_ground_truth(coco, "segm")
    images = list(_images(truth, detected, class_scores, expected_ious))
    mean = _mean_presence(images, coco.dataset["annotations"])
    usual = usual_shortfall(np.concatenate([[], *(shortfalls(i.evidence) for i in images)]))
    found = [
        finding
        for image in images
        for finding in (*_of_annotations(image, usual, mean), *_of_predictions(image, detected))
    ]
    sure = [presence(image.evidence).values >= _SURE for image in images]
    share = float(np.concatenate([[], *sure]).mean()) if any(map(len, sure)) else 0.0
    return Review(sorted(found, key=lambda finding: -finding.suspicion), share)


def trusted_scores(detected: DetectedMasks, by: str) -> tuple[Floats, Floats]:
    """Return class scores and expected mask IoUs, ``[P]`` each and from 0 to 1.

    Raises:
        ValueError: the predictions have no such score.
    """
    scores = detected.scores
    if by not in (MASK_SCORE.key, CLASS_SCORE.key):
        raise ValueError(f"scores {by!r} cannot be reviewed by; choose mask_score or score")
    if MASK_IOU.key in scores:
        ious = scores[MASK_IOU.key].clip(0, 1)
    elif by == MASK_SCORE.key and len(detected.rows):
        raise ValueError(
            "the predictions have no mask_iou, so they can be reviewed by the class score only: "
            "--by score"
        )
    else:
        ious = np.ones(len(detected.rows))
    if CLASS_SCORE.key in scores:
        classes = scores[CLASS_SCORE.key]
    else:  # of a mask whose IoU is 0, the class score is unknown
        classes = np.divide(scores[MASK_SCORE.key], ious, out=np.zeros_like(ious), where=ious > 0)
    return classes.clip(0, 1), ious if by == MASK_SCORE.key else np.ones(len(ious))


def _images(
    truth: GroundTruth, detected: DetectedMasks, class_scores: Floats, expected_ious: Floats
) -> Iterator[_Image]:
    """Yield the images that have annotations or predictions."""
    masks = MaskIous(truth, detected.rows, any_class=True)
    annotations = truth.coco.dataset["annotations"]
    objects: dict[int, list[int]] = defaultdict(list)
    for index, annotation in enumerate(annotations):
        objects[annotation["image_id"]].append(index)
    for image_id, new_id in truth.image_ids.items():
        own, found = objects[new_id], masks.detections.get((new_id, ANY_CLASS), [])
        ious = masks.ious.get((new_id, ANY_CLASS), np.zeros((len(found), len(own))))
        is_region = np.array([annotations[i]["iscrowd"] for i in own], dtype=bool)
        judged = [index for index in own if not annotations[index]["iscrowd"]]
        classes = np.array([masks.rows[i]["category_id"] for i in found], dtype=np.int64)
        labels = np.array([annotations[i]["category_id"] for i in judged], dtype=np.int64)
        evidence = Evidence(
            ious[:, ~is_region],
            classes[:, None] == labels,
            class_scores[found],
            expected_ious[found],
            ious[:, is_region].max(axis=1, initial=0.0),
        )
        yield _Image(image_id, judged, found, evidence)


def _mean_presence(images: Sequence[_Image], annotations: Sequence[Mapping[str, Any]]) -> Floats:
    """Return the mean presence of the annotations like each one; 0 for those not judged."""
    of_class: dict[Any, list[int]] = defaultdict(list)
    present, mean = np.zeros(len(annotations)), np.zeros(len(annotations))
    for image in images:
        present[list(image.annotations)] = presence(image.evidence).values
        for index in image.annotations:
            of_class[annotations[index]["category_id"]].append(index)
    for indices in of_class.values():
        order = np.array(sorted(indices, key=lambda index: annotations[index]["area"]))
        areas = np.log1p([annotations[index]["area"] for index in order.tolist()])
        for place, index in enumerate(order.tolist()):
            near = slice(max(0, place - _ALIKE), place + _ALIKE + 1)
            closest = np.argsort(np.abs(areas[near] - areas[place]), kind="stable")[:_ALIKE]
            mean[index] = present[order[near][closest]].mean()
    return mean


def _of_annotations(image: _Image, usual: Usual, mean_presence: Floats) -> Iterator[Finding]:
    """Yield the most suspicious finding about each annotation."""
    evidence = image.evidence
    suspicions = {
        POOR_MASK: poor_masks(evidence, usual),
        WRONG_CLASS: wrong_classes(evidence),
        EXTRA: extra_objects(evidence, mean_presence[list(image.annotations)]),
    }
    for column, annotation in enumerate(image.annotations):
        kind = max(suspicions, key=lambda name: suspicions[name].values[column])
        value = float(suspicions[kind].values[column])
        if value >= _NEGLIGIBLE:
            row = int(suspicions[kind].predictions[column])
            known = row != NO_PREDICTION
            yield Finding(
                kind,
                value,
                image.image_id,
                annotation,
                image.predictions[row] if known else None,
                float(evidence.ious[row, column]) if known else 0.0,
            )


def _of_predictions(image: _Image, detected: DetectedMasks) -> Iterator[Finding]:
    """Yield the objects that lack an annotation, each once: by its most suspicious prediction."""
    values = missing_objects(image.evidence)
    reported: list[dict[str, Any]] = []
    for row in np.argsort(-values, kind="stable").tolist():
        if values[row] < _NEGLIGIBLE:
            return
        index = image.predictions[row]
        mask = detected.rows[index]["segmentation"]
        if reported and coco_mask.iou([mask], reported, [0] * len(reported)).max() >= _DUPLICATE:
            continue
        reported.append(mask)
        overlap = float(image.evidence.ious[row].max(initial=0.0))
        yield Finding(MISSING, float(values[row]), image.image_id, None, index, overlap)
