import math

import numpy as np
import pytest
from pycocotools import mask as mask_util

from maskrcnn_benchmark.evaluation.mask_quality import mask_quality, pearson, spearman
from tests.evaluation.dataset import squares_dataset

RNG = np.random.default_rng(4)


def slow_ranks(values):
    """Return ranks: one plus the number of smaller values plus half of the other equal ones."""
    return np.array(
        [1 + sum(v < x for v in values) + (sum(v == x for v in values) - 1) / 2 for x in values]
    )


@pytest.mark.parametrize("levels", [3, 1000])
def test_correlations_equal_the_slow_way(levels):
    x = RNG.integers(levels, size=50).astype(np.float64)
    y = x + RNG.integers(levels, size=50)
    assert pearson(x, y) == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-12)
    expected = np.corrcoef(slow_ranks(x), slow_ranks(y))[0, 1]
    assert spearman(x, y) == pytest.approx(expected, abs=1e-12)


def test_rank_correlation_sees_order_only():
    x = RNG.random(30)
    assert spearman(x, np.exp(5 * x)) == pytest.approx(1)
    assert spearman(x, -x) == pytest.approx(-1)


@pytest.mark.parametrize("x", [[], [1.0], [2.0, 2.0, 2.0]])
def test_correlation_of_constant_or_empty_data_is_nan(x):
    values = np.array(x)
    assert math.isnan(pearson(values, np.arange(len(values), dtype=np.float64)))
    assert math.isnan(spearman(values, np.arange(len(values), dtype=np.float64)))


def detection(image_id, box, pixels, class_score, mask_iou):
    """Return a box row and a mask row; ``pixels``: exclusive x1, y1, x2, y2 of the mask."""
    mask = np.zeros((80, 100), dtype=np.uint8)
    x1, y1, x2, y2 = pixels
    mask[y1:y2, x1:x2] = 1
    rle = mask_util.encode(np.asfortranarray(mask))
    common = {"image_id": image_id, "category_id": 10}
    return (
        {**common, "bbox": box, "score": class_score},
        {**common, "segmentation": rle, "score": class_score * mask_iou, "mask_iou": mask_iou},
    )


def test_groups_and_true_ious_by_hand():
    rows = [
        detection(3, [10, 10, 40, 40], (10, 10, 50, 50), 0.9, 0.8),  # the whole first cat
        detection(3, [10, 10, 40, 40], (10, 10, 50, 30), 0.4, 0.6),  # its upper half
        detection(3, [60, 30, 10, 10], (60, 30, 70, 40), 0.8, 0.3),  # a corner of the dog
        detection(8, [0, 0, 10, 10], (0, 0, 10, 10), 0.7, 0.2),  # nothing is there
    ]
    bbox, segm = [list(column) for column in zip(*rows, strict=True)]
    quality = mask_quality(squares_dataset().coco, bbox, segm)
    true = np.array([1, 0.5, 100 / 35**2, 0])
    predicted, scores = np.array([0.8, 0.6, 0.3, 0.2]), np.array([0.9, 0.4, 0.8, 0.7])
    everything = quality["all"]
    assert everything["count"] == 4
    assert everything["mean_true"] == pytest.approx(true.mean())
    assert everything["mean_predicted"] == pytest.approx(predicted.mean())
    assert everything["pearson"] == pytest.approx(np.corrcoef(predicted, true)[0, 1])
    assert everything["spearman"] == pytest.approx(1)
    assert everything["class_score_pearson"] == pytest.approx(np.corrcoef(scores, true)[0, 1])
    assert quality["box IoU > 0.5"]["count"] == 2
    likely = quality["box IoU > 0.5 and class score > 0.5"]
    assert (likely["count"], likely["mean_true"]) == (1, 1)
    assert math.isnan(likely["pearson"])


def test_no_detections():
    quality = mask_quality(squares_dataset().coco, [], [])
    assert quality["all"]["count"] == 0


def test_a_detection_of_an_instance_without_a_mask_is_left_out():
    dataset = squares_dataset()
    dataset.coco.anns[2]["segmentation"] = None  # the dog
    rows = [
        detection(3, [10, 10, 40, 40], (10, 10, 50, 30), 0.9, 0.8),  # half of the first cat
        detection(3, [60, 30, 35, 35], (60, 30, 95, 65), 0.8, 0.3),  # the dog
        detection(3, [0, 70, 5, 5], (0, 70, 5, 75), 0.8, 0.3),  # nothing
    ]
    bbox, segm = [list(column) for column in zip(*rows, strict=True)]
    quality = mask_quality(dataset.coco, bbox, segm)
    assert (quality["all"]["count"], quality["all"]["mean_true"]) == (2, 0.25)
    assert (quality["box IoU > 0.5"]["count"], quality["box IoU > 0.5"]["mean_true"]) == (1, 0.5)


def test_a_detection_of_nothing_counts_even_if_the_first_instance_has_no_mask():
    dataset = squares_dataset()
    dataset.coco.anns[1]["segmentation"] = None  # the first cat
    rows = [
        detection(3, [60, 30, 35, 35], (60, 30, 95, 65), 0.8, 0.9),  # the dog
        detection(3, [0, 70, 5, 5], (0, 70, 5, 75), 0.8, 0.3),  # nothing
    ]
    bbox, segm = [list(column) for column in zip(*rows, strict=True)]
    everything = mask_quality(dataset.coco, bbox, segm)["all"]
    assert (everything["count"], everything["mean_true"]) == (2, 0.5)
