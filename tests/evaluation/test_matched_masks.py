"""Detected masks and the objects that they overlap, against full-size masks."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO

from maskrcnn_benchmark.evaluation.ground_truth import renumber_ground_truth
from maskrcnn_benchmark.evaluation.mask_ious import MaskIous
from maskrcnn_benchmark.evaluation.matched_masks import (
    DetectedMasks,
    boxes_of_masks,
    detected_masks,
    match_masks,
)
from maskrcnn_benchmark.structures.rle import encode_rle
from tests.evaluation.dataset import square

SIZE = 40


def pixels(x, y, side):
    mask = np.zeros((SIZE, SIZE), bool)
    mask[y : y + side, x : x + side] = True
    return mask


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


def dataset(*annotations):
    """Return a data set of two images and two classes: (image id, category id, geometry)."""
    entries = [
        {"id": 10 + number, "image_id": image_id, "category_id": category_id, **geometry}
        for number, (image_id, category_id, geometry) in enumerate(annotations)
    ]
    images = [{"id": i, "file_name": f"{i}.png", "width": SIZE, "height": SIZE} for i in ("a", 7)]
    categories = [{"id": i, "name": f"class {i}"} for i in (3, 9)]
    coco = COCO()
    coco.dataset = {"images": images, "categories": categories, "annotations": entries}
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


def matched(coco, *found, any_class=False, boxes=None, **scores):
    """Match detections (image id, category id, mask)."""
    rows = [{"image_id": i, "category_id": c, "segmentation": encode_rle(m)} for i, c, m in found]
    columns = {key: np.array(values, float) for key, values in scores.items()}
    truth = renumber_ground_truth(coco, "segm")
    boxes = boxes_of_masks(rows) if boxes is None else np.array(boxes, float)
    found = DetectedMasks(rows, boxes, columns)
    return match_masks(found, MaskIous(truth, rows, any_class=any_class))


def test_each_mask_is_matched_with_the_object_of_its_class_that_it_overlaps_most():
    coco = dataset(
        ("a", 3, square(0, 0, 10)),
        ("a", 3, square(4, 0, 10)),
        ("a", 9, square(20, 20, 12)),
        (7, 3, square(0, 0, 10)),
    )
    found = [
        ("a", 3, pixels(3, 0, 10)),  # overlaps two, the second more
        ("a", 3, pixels(20, 20, 12)),  # an object of another class
        ("a", 9, pixels(21, 21, 12)),
        (7, 3, pixels(30, 30, 5)),  # nothing there
        (7, 9, pixels(0, 0, 10)),
    ]
    masks = matched(coco, *found, score=[0.5] * 5, mask_iou=[0.1, 0.2, 0.3, 0.4, 0.5])
    expected = [iou(pixels(3, 0, 10), pixels(4, 0, 10)), 0, 121 / (288 - 121), 0, 0]
    np.testing.assert_allclose(masks.true_ious, expected)
    np.testing.assert_allclose(masks.box_ious, expected)  # of squares
    assert masks.annotations.tolist() == [1, -1, 2, -1, -1]
    assert masks.image_ids.tolist() == ["a", "a", "a", 7, 7]
    assert masks.category_ids.tolist() == [3, 3, 9, 3, 9]
    assert masks.areas.tolist() == [100, 144, 144, 25, 100]
    assert masks.is_judged.all()
    some = masks.select(masks.true_ious > 0)
    assert len(some) == 2
    assert some.scores["mask_iou"].tolist() == [0.1, 0.3]

    of_any_class = matched(coco, *found, any_class=True, score=[0.5] * 5)
    np.testing.assert_allclose(of_any_class.true_ious[[1, 4]], 1)
    assert of_any_class.annotations.tolist() == [1, 2, 2, -1, 3]


def test_the_box_tells_what_was_found_however_poor_the_mask_is():
    coco = dataset((7, 3, square(0, 0, 10)), (7, 3, square(20, 0, 10)), (7, 9, square(0, 20, 10)))
    outside, corner = pixels(12, 12, 4), pixels(20, 0, 2)
    found = [(7, 3, outside), (7, 3, corner), (7, 3, pixels(0, 0, 10)), (7, 3, outside)]
    boxes = [[0, 0, 10, 8], [1, 0, 10, 10], [21, 0, 9, 10], [30, 30, 4, 4]]
    masks = matched(coco, *found, boxes=boxes, score=[1] * 4)
    np.testing.assert_allclose(masks.true_ious, [0, 0.04, 1, 0])
    np.testing.assert_allclose(masks.box_ious, [0.8, 90 / 110, 0.9, 0])
    # the mask decides which object it is, the box only where no mask is overlapped
    assert masks.annotations.tolist() == [0, 1, 0, -1]


@pytest.mark.parametrize("kind", ["crowd", "no mask"])
def test_masks_in_a_crowd_or_on_an_object_without_a_mask_are_not_judged(kind):
    region = square(20, 20, 10)
    region |= {"iscrowd": 1} if kind == "crowd" else {"segmentation": None}
    coco = dataset((7, 3, square(0, 0, 10)), (7, 3, region))
    masks = matched(
        coco,
        (7, 3, pixels(22, 22, 4)),  # inside
        (7, 3, pixels(26, 20, 10)),  # 40 % of it inside
        (7, 3, pixels(1, 0, 10)),
        (7, 9, pixels(22, 22, 4)),  # of another class
        score=[1] * 4,
    )
    assert masks.is_judged.tolist() == [False, True, True, True]
    np.testing.assert_allclose(masks.true_ious, [0, 0, 90 / 110, 0])
    assert masks.annotations.tolist() == [-1, -1, 0, -1]


def test_a_good_mask_of_an_object_is_judged_also_inside_a_crowd():
    crowd = square(0, 0, 30) | {"iscrowd": 1}
    masks = matched(
        dataset((7, 3, crowd), (7, 3, square(0, 0, 10))),
        (7, 3, pixels(0, 0, 11)),
        (7, 3, pixels(0, 0, 20)),
        score=[1, 1],
    )
    assert masks.is_judged.tolist() == [True, False]
    assert masks.annotations.tolist() == [1, 1]


def test_nothing_detected_and_nothing_annotated():
    assert len(matched(dataset((7, 3, square(0, 0, 10))), score=[])) == 0
    masks = matched(dataset(), (7, 3, pixels(0, 0, 5)), score=[1])
    assert masks.true_ious.tolist() == [0]
    assert masks.is_judged.tolist() == [True]
    assert len(masks.select(masks.true_ious > 0)) == 0


def test_an_unknown_score_is_refused():
    with pytest.raises(ValueError, match="'luck'.*known: score, mask_iou, mask_score"):
        matched(dataset(), luck=[])


def test_the_rows_of_the_evaluation_give_all_scores():
    rle = encode_rle(pixels(0, 0, 5))
    box = {"image_id": 7, "category_id": 3, "bbox": [0, 0, 5, 5], "score": 0.5}
    mask = {"image_id": 7, "category_id": 3, "segmentation": rle, "score": 0.4, "mask_iou": 0.8}
    rows = {"bbox": [box], "segm": [mask], "segm_by_class_score": [mask | {"score": 0.5}]}
    found = detected_masks(rows)
    assert found.boxes.tolist() == [[0, 0, 5, 5]]
    expected = {"score": [0.5], "mask_iou": [0.8], "mask_score": [0.4]}
    assert {key: values.tolist() for key, values in found.scores.items()} == expected
    del mask["mask_iou"]
    assert set(detected_masks(rows).scores) == {"score", "mask_score"}
    del rows["segm_by_class_score"]
    assert set(detected_masks(rows).scores) == {"score"}
