"""Both evaluators, and the IoUs shared by two rankings, compared with plain runs of pycocotools."""

import contextlib
import io
import sys

import numpy as np
import pytest
import torch
from pycocotools.cocoeval import COCOeval

from maskrcnn_benchmark.config import make_default_config
from maskrcnn_benchmark.evaluation import evaluate_coco
from maskrcnn_benchmark.evaluation.coco_eval import class_aps, detection_rows, run_coco_eval
from maskrcnn_benchmark.evaluation.coco_evaluator import check_evaluator, find_evaluator
from maskrcnn_benchmark.evaluation.ground_truth import renumber_ground_truth
from maskrcnn_benchmark.evaluation.mask_ious import MaskIous
from maskrcnn_benchmark.evaluation.ranked_masks import RankedMasks
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.mask_paste import Masker
from maskrcnn_benchmark.structures.rle import encode_rle
from maskrcnn_benchmark.utils.user_error import MissingPackageError
from tests.evaluation.dataset import StandInDataset, square

WIDTH, HEIGHT = SIZE = (160, 120)
IMAGES = (0, 3, 5, 8, 9, 12)  # the third has no ground truth, the fourth no detections
CROWDED = 9  # more detections of a class than COCO counts
EXACT = {"rtol": 0, "atol": 1e-12}
EVALUATORS = ("pycocotools", "fast")


@pytest.fixture(params=EVALUATORS)
def evaluator(request):
    if request.param == "fast":
        pytest.importorskip("faster_coco_eval")
    return request.param


def drawn_dataset(rng):
    """Return images with objects of all sizes, crowds, an object without a mask; no 40s at all."""
    annotations = []
    for image_id in IMAGES:
        for number in range(0 if image_id == 5 else 9):
            side = int(rng.choice([12, 20, 40, 60, 100]))
            x, y = (int(rng.integers(0, high - side)) for high in (WIDTH, HEIGHT + 1))
            one = square(x, y, side)
            if number % 4 == 3:  # crowds, with masks that differ from their boxes
                mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
                mask[y : y + side, x : x + side] = 1
                one |= {"iscrowd": 1, "segmentation": encode_rle(mask)}
            category = int(rng.choice([10, 20, 30]))
            annotations.append(
                {"id": len(annotations), "image_id": image_id, "category_id": category, **one}
            )
    annotations[0]["segmentation"] = None
    return StandInDataset(
        {
            "images": [{"id": i, "width": WIDTH, "height": HEIGHT} for i in IMAGES],
            "categories": [{"id": i, "name": f"class {i}"} for i in (10, 20, 30, 40)],
            "annotations": annotations,
        }
    )


def drawn_predictions(dataset, rng):
    """Return detections around objects and anywhere, with many equal scores and some below 0."""
    predictions = []
    for image_id in dataset.id_to_img_map.values():
        count = {CROWDED: 150, 8: 0}.get(image_id, 40)
        boxes = np.zeros((count, 4))
        objects = [a["bbox"] for a in dataset.coco.imgToAnns[image_id]] or [[5, 5, 40, 40]]
        for box in boxes:
            x, y, side, _ = objects[rng.integers(len(objects))]
            dx, dy, grow = rng.integers(-side // 5, side // 5 + 1, 3)
            box[:] = x + dx, y + dy, x + dx + side + grow, y + dy + side + grow
        boxes = boxes.clip(0, [WIDTH - 2, HEIGHT - 2, WIDTH - 1, HEIGHT - 1])
        found = BoxList(torch.from_numpy(boxes).float(), SIZE)
        labels = rng.choice([1] if image_id == CROWDED else [1, 2, 3, 4], count)
        scores = torch.from_numpy(rng.integers(0, 12, count) / 11).float()
        ious = torch.from_numpy(rng.integers(-1, 9, count) / 8).float()
        found.add_field("labels", torch.from_numpy(np.array(labels, dtype=np.int64)))
        found.add_field("scores", scores)
        found.add_field("mask_ious", ious)
        found.add_field("mask_scores", scores * ious)
        found.add_field("mask", torch.from_numpy(rng.random((count, 1, 28, 28))).float() ** 0.5)
        predictions.append(found)
    return predictions


def plain_evaluation(truth, rows, iou_type):
    """Return the evaluation of one ranking as pycocotools' users write it."""
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(truth.coco, truth.coco.loadRes(truth.rows(rows)), iou_type)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def assert_same(actual, expected):
    for name in ("precision", "recall"):  # [IoUs, (recalls,) classes, areas, limits]
        np.testing.assert_allclose(actual.eval[name], expected.eval[name], **EXACT)
    np.testing.assert_allclose(actual.stats[:12], expected.stats, **EXACT)
    assert class_aps(actual) == pytest.approx(class_aps(expected), abs=1e-12)


@pytest.fixture(scope="module", params=range(3))
def drawn(request):
    """Return a data set, predictions, and their rows: boxes, and masks by both scores."""

    rng = np.random.default_rng(request.param)
    dataset = drawn_dataset(rng)
    predictions = drawn_predictions(dataset, rng)
    return dataset, predictions, detection_rows(dataset, predictions, ("bbox", "segm"), Masker())


def test_boxes_get_what_pycocotools_gives(drawn, evaluator):
    dataset, _, rows = drawn
    truth = renumber_ground_truth(dataset.coco, "bbox")
    actual = run_coco_eval(truth, rows["bbox"], "bbox", find_evaluator(evaluator))
    assert_same(actual, plain_evaluation(truth, rows["bbox"], "bbox"))
    assert (actual.eval["precision"][..., 3, :, :] == -1).all()  # no objects of the last class


def test_two_rankings_of_the_same_masks_get_what_two_evaluations_give(drawn, evaluator):
    dataset, _, rows = drawn
    masks = RankedMasks(MaskIous(renumber_ground_truth(dataset.coco, "segm"), rows["segm"]))
    stats = []
    for task in ("segm", "segm_by_class_score", "segm"):  # the first is not changed by the second
        scores = [row["score"] for row in rows[task]]
        actual = masks.evaluate(scores, find_evaluator(evaluator))
        truth = renumber_ground_truth(dataset.coco, "segm")
        assert_same(actual, plain_evaluation(truth, rows[task], "segm"))
        stats.append(actual.stats[:12].tolist())
    assert stats[0] == stats[2] != stats[1]


def test_masks_beyond_the_limit_of_an_image_depend_on_the_ranking(drawn):
    _, _, rows = drawn
    crowded = [index for index, row in enumerate(rows["segm"]) if row["image_id"] == CROWDED]
    best = [
        set(sorted(crowded, key=lambda i: -rows[task][i]["score"])[:100])
        for task in ("segm", "segm_by_class_score")
    ]
    assert len(crowded) > 100
    assert best[0] != best[1]


def test_the_whole_evaluation_gives_the_same_results(drawn):
    pytest.importorskip("faster_coco_eval")
    dataset, predictions, _ = drawn
    by = {
        name: evaluate_coco(dataset, predictions, iou_types=("bbox", "segm"), evaluator=name)
        for name in EVALUATORS
    }
    slow, fast = by.values()
    assert fast.results.keys() == slow.results.keys() == {"bbox", "segm", "segm_by_class_score"}
    for task, metrics in slow.results.items():
        assert fast[task] == pytest.approx(metrics, abs=1e-12)
        assert fast.per_class[task] == pytest.approx(slow.per_class[task], abs=1e-12)
    assert fast.mask_quality == slow.mask_quality
    assert 0 < slow["segm"]["AP"] < 1


@pytest.mark.parametrize("empty", ["detections", "objects"])
def test_nothing_found_and_nothing_to_find(drawn, evaluator, empty):
    dataset, _, rows = drawn
    coco = dataset.coco
    if empty == "objects":
        other = StandInDataset({**coco.dataset, "annotations": []})
        coco, segm, expected = other.coco, rows["segm"], -1
    else:
        segm, expected = [], 0
    masks = RankedMasks(MaskIous(renumber_ground_truth(coco, "segm"), segm))
    found = masks.evaluate([row["score"] for row in segm], find_evaluator(evaluator))
    assert found.stats[0] == expected
    assert set(class_aps(found).values()) <= {0, -1}


def test_an_unknown_evaluator_is_named():
    config = make_default_config()
    assert list(check_evaluator(config)) == []
    config.TEST.COCO_EVALUATOR = "slow"
    assert list(check_evaluator(config)) == [
        "TEST.COCO_EVALUATOR is 'slow'; it must be one of pycocotools, fast"
    ]


def test_a_missing_package_is_reported_with_the_install_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    config = make_default_config()
    config.TEST.COCO_EVALUATOR = "fast"
    (problem,) = check_evaluator(config)
    assert problem == (
        "TEST.COCO_EVALUATOR fast needs the faster-coco-eval package: pip install .[fast]"
    )
    with pytest.raises(MissingPackageError, match=r"pip install \.\[fast\]"):
        find_evaluator("fast")
