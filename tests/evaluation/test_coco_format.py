import numpy as np
import pytest
import torch
from pycocotools import mask as mask_util

from maskrcnn_benchmark.evaluation.coco_format import (
    bbox_rows,
    in_original_frame,
    ranked_by_class_score,
    segm_rows,
)
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.mask_paste import Masker
from tests.evaluation.dataset import recorded_dataset, recorded_predictions
from tests.helpers.vectors import load_vector

RECORDED = load_vector("coco_eval")[0]["arguments"]["results"]
FIELDS = ("labels", "scores", "mask")


def assert_rows(actual, expected):
    assert len(actual) == len(expected)
    for row, recorded in zip(actual, expected, strict=True):
        assert list(row) == list(recorded)
        assert row["image_id"] == recorded["image_id"]
        assert row["category_id"] == recorded["category_id"]
        assert row["score"] == recorded["score"]
        if "bbox" in row:
            assert row["bbox"] == pytest.approx(recorded["bbox"], abs=1e-4)
        else:
            assert row["segmentation"] == recorded["segmentation"]


def recorded(*names):
    """Return the data set and the recorded predictions in the original frame."""
    dataset = recorded_dataset()
    return dataset, list(in_original_frame(dataset, recorded_predictions(*names), Masker()))


def test_box_rows_are_the_recorded_ones():
    rows = bbox_rows(*recorded(*FIELDS, "mask_scores"))
    assert_rows(rows, RECORDED["bbox"])


def test_mask_rows_carry_the_mask_score():
    rows = segm_rows(*recorded(*FIELDS, "mask_scores"))
    assert_rows(rows, RECORDED["segm_maskiou"])


def test_mask_rows_carry_the_predicted_mask_iou_and_the_score():
    dataset, found = recorded(*FIELDS, "mask_scores")
    count = 0
    for _, detections in found:
        ious = torch.arange(count, count + len(detections)) / 64  # unlike score / class score
        detections.add_field("mask_ious", ious)
        count += len(detections)
    rows = segm_rows(dataset, found)
    assert [row.pop("mask_iou") for row in rows] == [index / 64 for index in range(count)]
    assert_rows(rows, RECORDED["segm_maskiou"])


def test_mask_rows_carry_the_class_score_without_a_maskiou_head():
    rows = segm_rows(*recorded(*FIELDS))
    assert_rows(rows, RECORDED["segm"])


def test_mask_rows_by_class_score_are_those_of_mask_rcnn():
    found = recorded(*FIELDS, "mask_scores")
    assert_rows(ranked_by_class_score(segm_rows(*found), bbox_rows(*found)), RECORDED["segm"])


def test_pasting_in_parts_gives_what_pasting_at_once_gives():
    corner = torch.rand(40, 2) * 60
    boxes = BoxList(torch.cat([corner, corner + 5 + torch.rand(40, 2) * 30], 1), (90, 70))
    boxes.add_field("mask", torch.rand(40, 1, 28, 28))
    at_once = Masker()([boxes.get_field("mask")], [boxes])[0][:, 0].numpy()
    rles = Masker().rles(boxes.get_field("mask"), boxes).dicts()
    decoded = np.stack([mask_util.decode(rle) for rle in rles])
    assert np.array_equal(decoded, at_once)
    assert at_once.any(axis=(1, 2)).all()


def test_a_wrong_number_of_predictions_is_an_error():
    with pytest.raises(ValueError, match="4 predictions for a data set of 5 images"):
        list(in_original_frame(recorded_dataset(), recorded_predictions(*FIELDS)[:4], None))
