"""The AP of a resample, compared with pycocotools on a data set with copies of the images."""

import numpy as np
import pytest

from maskrcnn_benchmark.evaluation.bootstrap import (
    average_precision,
    draw_resamples,
    judged_classes,
)
from maskrcnn_benchmark.evaluation.coco_eval import detection_rows, run_coco_eval
from maskrcnn_benchmark.evaluation.ground_truth import renumber_ground_truth
from maskrcnn_benchmark.structures.mask_paste import Masker
from tests.evaluation.dataset import StandInDataset
from tests.evaluation.test_coco_evaluator import IMAGES, drawn_dataset, drawn_predictions

EXACT = {"rtol": 0, "atol": 1e-12}
AREAS, THRESHOLDS, CLASSES = 4, 10, 4


@pytest.fixture(scope="module", params=range(3))
def drawn(request):
    """Crowds, ignored objects, tied scores, an image without objects, one without detections."""
    rng = np.random.default_rng(request.param)
    dataset = drawn_dataset(rng)
    predictions = drawn_predictions(dataset, rng)
    return dataset.coco.dataset, detection_rows(dataset, predictions, ("bbox", "segm"), Masker())


def with_copies(content, rows, times):
    """Return a data set and rows in which each image occurs ``times`` times, with ids in order."""
    copies = {}
    for image_id, count in zip(IMAGES, times, strict=True):
        copies[image_id] = [1000 + image_id * 10 + number for number in range(count)]
    images = [image | {"id": new} for image in content["images"] for new in copies[image["id"]]]
    annotations = [
        row | {"image_id": new} for row in content["annotations"] for new in copies[row["image_id"]]
    ]
    for number, row in enumerate(annotations, 1):
        row["id"] = number
    copied = [row | {"image_id": new} for row in rows for new in copies[row["image_id"]]]
    return StandInDataset(content | {"images": images, "annotations": annotations}), copied


def evaluated(content, rows, iou_type, times=None):
    dataset, rows = with_copies(content, rows, [1] * len(IMAGES) if times is None else times)
    return run_coco_eval(renumber_ground_truth(dataset.coco, iou_type), rows, iou_type)


def expected_aps(evaluation):
    """Return pycocotools' AP [classes, areas, IoU thresholds]; NaN without objects."""
    precision = evaluation.eval["precision"][..., -1]  # [IoU thresholds, recalls, classes, areas]
    aps = precision.mean(axis=1).transpose(1, 2, 0)
    return np.where(aps < 0, np.nan, aps)


def actual_aps(evaluation, times):
    """Return the AP ``[resamples, classes, areas, IoU thresholds]``."""
    recalls = evaluation.params.recThrs
    classes = [average_precision(one, times, recalls) for one in judged_classes(evaluation)]
    return np.transpose(classes, (3, 0, 1, 2))


@pytest.mark.parametrize("task", ["bbox", "segm", "segm_by_class_score"])
def test_every_image_once_gives_the_ap_of_pycocotools(drawn, task):
    content, rows = drawn
    evaluation = evaluated(content, rows[task], task.removesuffix("_by_class_score"))
    (aps,) = actual_aps(evaluation, np.ones((1, len(IMAGES)), int))
    assert aps.shape == (CLASSES, AREAS, THRESHOLDS)
    np.testing.assert_allclose(aps, expected_aps(evaluation), **EXACT)
    assert np.nanmean(aps[:, 0]) == pytest.approx(evaluation.stats[0], abs=1e-12)
    assert np.isnan(aps[3]).all()
    assert np.nanmax(aps) > 0.1


@pytest.mark.parametrize("task", ["bbox", "segm"])
def test_a_resample_gives_the_ap_of_pycocotools_with_copies_of_the_images(drawn, task):
    content, rows = drawn
    # of equal scores, pycocotools counts first what the file has first, which copies change
    rows = {task: [row | {"score": row["score"] - i * 1e-6} for i, row in enumerate(rows[task])]}
    times = draw_resamples(len(IMAGES), 6, seed=3)
    assert times.sum(axis=1).tolist() == [len(IMAGES)] * 6
    assert times.min() == 0
    assert times.max() >= 2
    actual = actual_aps(evaluated(content, rows[task], task), times)
    for aps, counts in zip(actual, times, strict=True):
        expected = expected_aps(evaluated(content, rows[task], task, counts))
        np.testing.assert_allclose(aps, expected, **EXACT)


def test_without_detections_the_ap_is_0(drawn):
    content, _ = drawn
    times = draw_resamples(len(IMAGES), 3, seed=0)
    aps = actual_aps(evaluated(content, [], "bbox"), times)
    for one, counts in zip(aps, times, strict=True):
        np.testing.assert_array_equal(one, expected_aps(evaluated(content, [], "bbox", counts)))
    assert np.nanmax(aps) == 0


def test_resamples_follow_the_seed_and_a_part_of_them_at_a_time_is_the_same(drawn, monkeypatch):
    content, rows = drawn
    times = draw_resamples(len(IMAGES), 20, seed=5)
    np.testing.assert_array_equal(times, draw_resamples(len(IMAGES), 20, seed=5))
    assert (times != draw_resamples(len(IMAGES), 20, seed=6)).any()
    evaluation = evaluated(content, rows["bbox"], "bbox")
    whole = actual_aps(evaluation, times)
    monkeypatch.setattr("maskrcnn_benchmark.evaluation.bootstrap._CELLS", 500)
    np.testing.assert_array_equal(actual_aps(evaluation, times), whole)
