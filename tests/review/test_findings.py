"""What a review finds suspicious, in which order, and what it leaves alone."""

import math

import numpy as np
import pytest

from maskrcnn_benchmark.evaluation.matched_masks import DetectedMasks, boxes_of_masks
from maskrcnn_benchmark.review.findings import (
    EXTRA,
    MISSING,
    POOR_MASK,
    WRONG_CLASS,
    review_labels,
    trusted_scores,
)
from maskrcnn_benchmark.review.suspicion import Usual, usual_shortfall
from tests.review.world import CAT, DOG, World, annotation, prediction, rle

BOX, OTHER = (4, 4, 10, 10), (30, 20, 10, 10)


@pytest.fixture
def review(tmp_path):
    def run(annotations, predictions, **options):
        world = World(tmp_path, annotations, predictions)
        return review_labels(*world.read(), **options).findings

    return run


def told(findings):
    return [(f.kind, f.image_id, f.annotation, f.prediction) for f in findings]


def test_nothing_is_said_of_what_the_model_confirms(review):
    assert review([annotation(1, 1, BOX)], [prediction(1, BOX)]) == []


def test_no_annotations_no_predictions_and_neither(review):
    assert review([], []) == []
    (alone,) = review([], [prediction(1, BOX)])
    assert (alone.kind, alone.suspicion, alone.iou) == (MISSING, pytest.approx(0.72), 0)
    assert review([annotation(1, 1, BOX)], []) == []  # a blind model says nothing


def unusual(z):
    return 1 - math.exp(-z * z / 2)


def test_a_mask_is_poor_by_how_far_it_falls_short_of_the_predicted_iou(review):
    half = (4, 4, 10, 5)
    (found,) = review([annotation(1, 1, half)], [prediction(1, BOX)])
    assert told([found]) == [(POOR_MASK, 1, 0, 0)]
    assert found.iou == 0.5
    assert found.suspicion == pytest.approx(0.9 * unusual((0.8 - 0.5) / 0.1))


def test_a_disagreement_that_the_model_expects_is_not_suspicious(review):
    half, unsure = (4, 4, 10, 5), prediction(1, BOX, mask_iou=0.5)
    assert review([annotation(1, 1, half)], [unsure]) == []
    (by_class,) = review([annotation(1, 1, half)], [unsure], by="score")
    assert by_class.suspicion == pytest.approx(0.9 * unusual(0.5 / 0.1))


def test_a_shortfall_that_is_usual_in_the_annotations_is_not_suspicious(review):
    """Ten annotations are as expected, ten fall short by 0.2, one by 0.4."""
    boxes = [(1, 1, 10, 8)] * 10 + [(1, 1, 10, 6)] * 10 + [(1, 1, 10, 4)]
    annotations = [annotation(i, i, box) for i, box in enumerate(boxes)]
    predictions = [prediction(i, (1, 1, 10, 10)) for i in range(21)]
    (*usual, worst) = sorted(review(annotations, predictions), key=lambda f: f.suspicion)
    assert usual == []  # the median is 0.2, and so is the median deviation
    assert told([worst]) == [(POOR_MASK, 20, 20, 20)]
    assert worst.suspicion == pytest.approx(0.9 * unusual(0.2 / (1.4826 * 0.2)))


def test_what_is_usual_takes_twenty_annotations_and_is_never_exact():
    assert usual_shortfall(np.full(19, 0.3)) == Usual(0.0, 0.1)
    assert usual_shortfall(np.full(20, 0.3)) == Usual(0.3, 0.02)


def test_the_best_supporter_speaks_for_the_mask(review):
    poor = prediction(1, (4, 4, 10, 6), score=0.8, mask_iou=1.0)
    assert review([annotation(1, 1, BOX)], [poor, prediction(1, BOX)]) == []


def test_a_wrong_class_is_the_support_of_another_less_that_of_its_own(review):
    predictions = [prediction(1, BOX, DOG), prediction(1, BOX, CAT, score=0.2)]
    (found,) = review([annotation(1, 1, BOX)], predictions)
    assert told([found]) == [(WRONG_CLASS, 1, 0, 0)]
    assert found.suspicion == pytest.approx(0.72 - 0.2)


def test_a_missing_object_counts_less_the_more_it_overlaps_annotations(review):
    overlapping = (9, 4, 10, 10)  # IoU 1/3 would mean the annotation; 4 pixels further: 1/19
    beside = (13, 4, 10, 10)
    annotations = [annotation(1, 1, BOX)]
    assert MISSING not in [
        f.kind for f in review(annotations, [prediction(1, BOX), prediction(1, overlapping)])
    ]
    (found,) = review(annotations, [prediction(1, BOX), prediction(1, beside)])
    assert told([found]) == [(MISSING, 1, None, 1)]
    assert found.suspicion == pytest.approx(0.72 * (1 - 1 / 19))


def test_a_missing_object_is_listed_once(review):
    again = prediction(1, (4, 4, 10, 9), DOG, score=0.7)
    found = review([], [again, prediction(1, BOX), prediction(1, OTHER, score=0.5)])
    assert told(found) == [(MISSING, 1, None, 1), (MISSING, 1, None, 2)]


def test_an_extra_object_is_judged_by_how_well_its_class_is_found(review):
    annotations = [annotation(i, 1, (15 * i, 4, 10, 10)) for i in range(3)]
    annotations.append(annotation(3, 2, BOX))
    predictions = [prediction(1, (15 * i, 4, 10, 10)) for i in range(3)]
    (found,) = review(annotations, predictions)
    assert told([found]) == [(EXTRA, 2, 3, None)]
    assert found.suspicion == pytest.approx(0.9 * 3 / 4)
    # of a class that is hardly found at all, one more that is not found says little
    (faint,) = review(annotations, [{**one, "score": 0.1} for one in predictions])
    assert faint.suspicion == pytest.approx(0.1 * 3 / 4)


def test_an_extra_object_is_judged_among_those_of_its_size(review):
    """Small objects are never found, so that one of them is not says nothing."""
    annotations = [annotation(i, 1, (i, 4, 3, 3)) for i in range(12)]
    annotations += [annotation(12 + i, 2, (i, 4, 10, 10)) for i in range(12)]
    found = review(annotations, [prediction(2, (i, 4, 10, 10)) for i in range(11)])
    assert [f.kind for f in found if f.image_id == 1] == []
    annotations[-1] = annotation(23, 1, (40, 20, 10, 10))
    found = review(annotations, [prediction(2, (i, 4, 10, 10)) for i in range(11)])
    assert told(found) == [(EXTRA, 1, 23, None)]
    assert found[0].suspicion == pytest.approx(0.9, abs=0.1)


def test_an_annotation_under_a_faint_prediction_is_extra_with_that_prediction(review):
    annotations = [annotation(1, 1, BOX), annotation(2, 2, BOX)]
    found = review(annotations, [prediction(1, BOX), prediction(2, BOX, score=0.1)])
    assert told(found) == [(EXTRA, 2, 1, 1)]
    assert found[0].suspicion == pytest.approx(0.5 - 0.1)


def test_the_most_suspicious_comes_first_whatever_its_kind(review):
    annotations = [annotation(1, 1, (4, 4, 10, 5)), annotation(2, 2, OTHER, DOG)]
    predictions = [prediction(1, BOX), prediction(2, OTHER), prediction(2, BOX, score=0.5)]
    found = review(annotations, predictions)
    assert told(found) == [(POOR_MASK, 1, 0, 0), (WRONG_CLASS, 2, 1, 1), (MISSING, 2, None, 2)]
    assert [f.suspicion for f in found] == pytest.approx([0.89, 0.72, 0.4], abs=1e-4)


def test_crowds_and_boxes_without_mask_are_neither_judged_nor_missed(review):
    crowd = annotation(1, 1, (0, 0, 30, 20), iscrowd=1)
    box_only = annotation(2, 1, OTHER, segmentation=[])
    assert review([crowd, box_only], [prediction(1, BOX), prediction(1, OTHER)]) == []


@pytest.mark.parametrize(
    ("predictions", "share"),
    [
        ([], 0),
        ([prediction(1, BOX, score=0.5), prediction(2, OTHER, score=0.4)], 1 / 3),
        ([prediction(1, BOX, DOG), prediction(2, OTHER), prediction(2, BOX)], 2 / 3),
    ],
)
def test_how_many_annotations_the_model_finds(tmp_path, predictions, share):
    annotations = [annotation(1, 1, BOX), annotation(2, 2, OTHER), annotation(3, 1, OTHER)]
    annotations.append(annotation(4, 2, BOX, iscrowd=1))
    world = World(tmp_path, annotations, predictions)
    assert review_labels(*world.read()).found == pytest.approx(share)
    assert review_labels(*World(tmp_path, [], predictions).read()).found == 0


def detected(**scores):
    rows = [{"image_id": 1, "category_id": CAT, "segmentation": rle(*BOX)}]
    return DetectedMasks(
        rows, boxes_of_masks(rows), {key: np.array([value]) for key, value in scores.items()}
    )


def test_scores_beyond_their_range_are_clipped():
    classes, ious = trusted_scores(
        detected(score=1.5, mask_iou=-0.1, mask_score=-0.15), "mask_score"
    )
    assert (classes.tolist(), ious.tolist()) == ([1.0], [0.0])


@pytest.mark.parametrize(("mask_score", "mask_iou", "expected"), [(0.4, 0.5, 0.8), (0.0, 0.0, 0.0)])
def test_without_class_scores_they_follow_from_the_mask_scores(mask_score, mask_iou, expected):
    classes, ious = trusted_scores(detected(mask_iou=mask_iou, mask_score=mask_score), "mask_score")
    assert classes.tolist() == pytest.approx([expected])
    assert ious.tolist() == [mask_iou]


def test_a_model_without_predicted_ious_is_reviewed_by_its_class_scores():
    with pytest.raises(ValueError, match="--by score"):
        trusted_scores(detected(score=0.9), "mask_score")
    classes, ious = trusted_scores(detected(score=0.9), "score")
    assert (classes.tolist(), ious.tolist()) == ([0.9], [1.0])
