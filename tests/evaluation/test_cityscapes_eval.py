"""Cityscapes' instance AP against recorded values and cases computed by hand."""

import json

import numpy as np
import pytest
import torch

from maskrcnn_benchmark.evaluation import EVALUATIONS, evaluate_cityscapes
from maskrcnn_benchmark.evaluation.cityscapes_ap import Overlaps, average_precisions, step_area
from maskrcnn_benchmark.evaluation.cityscapes_eval import image_overlaps
from maskrcnn_benchmark.evaluation.original_frame import to_original_frame
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.mask_paste import Masker
from maskrcnn_benchmark.structures.segmentation_mask import SegmentationMask
from tests.helpers.vectors import load_vector

META, ARRAYS = load_vector("cityscapes_instance_ap", "vectors_upstream")
SIZE = tuple(META["arguments"]["size_wh"])
RESULTS = META["arguments"]["results"]
CLASSES = META["arguments"]["classes"]
IMAGES = range(4)
TASKS = {"bbox": "box", "segm": "mask"}


def ground_truth(image):
    width, height = SIZE
    gt = BoxList(torch.from_numpy(ARRAYS[f"gt_boxes_{image}"]), SIZE)
    gt.add_field("labels", torch.from_numpy(ARRAYS[f"gt_labels_{image}"]))
    masks = np.unpackbits(ARRAYS[f"gt_masks_{image}"], axis=1).reshape(-1, height, width)
    gt.add_field("masks", SegmentationMask(list(masks), SIZE))
    return gt


def prediction(image, **more):
    found = BoxList(torch.from_numpy(ARRAYS[f"pred_boxes_{image}"]), SIZE)
    for name in ("labels", "scores"):
        found.add_field(name, torch.from_numpy(ARRAYS[f"pred_{name}_{image}"]))
    found.add_field("mask", torch.from_numpy(ARRAYS[f"pred_mask_probs_{image}"]).float()[:, None])
    for name, value in more.items():
        found.add_field(name, value)
    return found


class Recorded:
    """Data set of the recorded ground truth."""

    class_names = CLASSES

    def get_groundtruth(self, index):
        return ground_truth(index)


def evaluated(predictions, tasks=tuple(TASKS), **options):
    return evaluate_cityscapes(Recorded(), predictions, iou_types=tasks, **options)


@pytest.mark.parametrize("task", TASKS)
def test_aps_are_the_recorded_ones(task):
    images = [
        image_overlaps(ground_truth(i), to_original_frame(prediction(i), SIZE, Masker()), [task])[
            task
        ]
        for i in IMAGES
    ]
    found = [average_precisions(images, label) for label in range(len(CLASSES))]
    np.testing.assert_allclose(found, ARRAYS[f"ap_{TASKS[task]}"], atol=1e-7)
    facts = ARRAYS["gt_facts"]  # image, instance, area of the box, pixels
    sizes = np.concatenate([image.gt_sizes for image in images])
    np.testing.assert_array_equal(np.sort(sizes), np.sort(facts[:, 2 if task == "bbox" else 3]))


def test_results_are_the_recorded_ones(tmp_path):
    results = evaluated([prediction(i) for i in IMAGES], output_folder=tmp_path)
    for task, name in TASKS.items():
        recorded = RESULTS[name]
        for metric, key in (("AP", "allAp"), ("AP50", "allAp50%"), ("AP75", "allAp75%")):
            assert results[task][metric] == pytest.approx(recorded[key])
        for label, ap in results.per_class[task].items():
            expected = recorded["classes"][label]["ap"]
            assert ap == (-1 if np.isnan(expected) else pytest.approx(expected))
    assert EVALUATIONS["cityscapes"] is evaluate_cityscapes
    written = json.loads((tmp_path / "results.json").read_text())["results"]
    assert written["segm"]["AP"] == results["segm"]["AP"]
    saved = torch.load(tmp_path / "cityscapes_results.pth", weights_only=True)
    assert saved["bbox"]["AP75"] == results["bbox"]["AP75"]
    assert "segm" in str(results)


def test_predictions_of_a_resized_image_and_pasted_ones_are_the_same():
    plain = evaluated([prediction(i) for i in IMAGES])
    doubled = [prediction(i).resize((SIZE[0] * 2, SIZE[1] * 2)) for i in IMAGES]
    pasted = [to_original_frame(prediction(i), SIZE, Masker()) for i in IMAGES]
    for others in (doubled, pasted):
        assert evaluated(others).results == plain.results


def test_masks_are_ranked_by_mask_score():
    given = [ARRAYS[f"pred_scores_{i}"] for i in IMAGES]
    reversed_scores = [torch.from_numpy(1 - scores) for scores in given]
    results = evaluated([prediction(i, mask_scores=reversed_scores[i]) for i in IMAGES])
    plain = evaluated([prediction(i) for i in IMAGES])
    assert results["segm_by_class_score"] == plain["segm"]
    turned = [prediction(i) for i in IMAGES]
    for found, scores in zip(turned, reversed_scores, strict=True):
        found.add_field("scores", scores)
    assert results["segm"] == evaluated(turned)["segm"] != plain["segm"]


def test_nothing_is_predicted():
    empty = [prediction(i)[:0] for i in IMAGES]
    results = evaluated(empty)
    assert results["bbox"]["AP"] == results["segm"]["AP"] == 0
    assert results.per_class["segm"]["truck"] == -1  # which is not there
    without_masks = [found.copy_with_fields(["labels", "scores"]) for found in empty]
    assert evaluated(without_masks).results == results.results


def test_what_cannot_be_evaluated_is_refused():
    without = [prediction(i).copy_with_fields(["labels", "scores"]) for i in IMAGES]
    with pytest.raises(ValueError, match="segm was requested, but the model predicts no masks"):
        evaluated(without)
    with pytest.raises(ValueError, match="evaluates detections, not proposals"):
        evaluated(without, box_only=True)


def overlaps(shared, *, gt_sizes, sizes, gt_labels=None, labels=None, scores=None):
    count, number = len(gt_sizes), len(sizes)
    return Overlaps(
        np.array(gt_labels or [1] * count),
        np.array(gt_sizes),
        np.array(labels or [1] * number),
        np.array(scores or [0.9, 0.8, 0.7][:number], dtype=float),
        np.array(sizes),
        np.array(shared).reshape(count, number),
    )


def ap_at_half(*images):
    return average_precisions(images, 1)[0]


def test_an_overlap_must_exceed_the_threshold():
    assert ap_at_half(overlaps([[200]], gt_sizes=[300], sizes=[300])) == 0  # IoU 0.5
    assert ap_at_half(overlaps([[201]], gt_sizes=[300], sizes=[300])) == 1


def test_small_ground_truth_is_ignored_and_so_is_what_lies_on_it():
    small = {"gt_sizes": [99], "sizes": [99]}
    assert np.isnan(ap_at_half(overlaps([[99]], **small)))
    # a right one elsewhere, and 60 of 100 pixels on an ignored instance: no false positive
    right = overlaps([[200]], gt_sizes=[200], sizes=[200], scores=[0.5])
    on_small = overlaps([[60]], gt_sizes=[99], sizes=[100])
    assert ap_at_half(right, on_small) == 1
    beside = overlaps([[40]], gt_sizes=[99], sizes=[100])
    assert ap_at_half(right, beside) < 1


def test_a_second_prediction_of_an_instance_is_wrong():
    twice = overlaps([[200, 180]], gt_sizes=[200], sizes=[200, 200])
    assert ap_at_half(twice) == ap_at_half(overlaps([[200, 0]], gt_sizes=[200], sizes=[200, 200]))
    # the better one counts as right
    swapped = overlaps([[180, 200]], gt_sizes=[200], sizes=[200, 200], scores=[0.8, 0.9])
    assert ap_at_half(swapped) == ap_at_half(twice)


def test_classes_are_not_compared_as_recorded():
    of_another = overlaps([[200]], gt_sizes=[200], sizes=[200], labels=[2])
    assert ap_at_half(of_another) == 0  # there is no prediction of the class
    with_one = overlaps([[200, 0], [0, 200]], gt_sizes=[200, 200], sizes=[200, 200], labels=[2, 1])
    assert ap_at_half(with_one) == 1  # found by a prediction of class 2


def test_the_area_of_steps_by_hand():
    # precision 1, 1/2, 2/3 at recall 1/4, 1/4, 2/4; 2 are missed; one point more at recall 0
    found = step_area(np.array([True, False, True]), np.array([0.9, 0.8, 0.7]), 2)
    points = [(2 / 3, 0.5), (0.5, 0.25), (1.0, 0.25), (1.0, 0.0)]
    recalls = [0.5, *(recall for _, recall in points), 0.0]
    by_hand = sum(
        precision * (recalls[i] - recalls[i + 2]) / 2 for i, (precision, _) in enumerate(points)
    )
    assert found == pytest.approx(by_hand)
