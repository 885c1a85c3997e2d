"""Ground truth with any ids is evaluated as if the ids started at 1."""

import copy

import pytest

from maskrcnn_benchmark.evaluation import evaluate_coco
from maskrcnn_benchmark.evaluation.ground_truth import class_names, renumber_ground_truth
from tests.evaluation.dataset import StandInDataset, perfect_predictions, squares_dataset


@pytest.mark.parametrize("first", [0, -1, 1000])
def test_annotations_may_be_counted_from_any_number(first):
    content = copy.deepcopy(squares_dataset().coco.dataset)
    for number, annotation in enumerate(content["annotations"], first):
        annotation["id"] = number
    dataset = StandInDataset(content)
    results = evaluate_coco(dataset, perfect_predictions(dataset))
    assert results["bbox"]["AP"] == pytest.approx(1)


def test_duplicate_names_are_disambiguated():
    coco = squares_dataset().coco
    assert class_names(coco) == {10: "cat", 20: "dog"}
    coco.cats[30] = {"id": 30, "name": "dog"}
    assert class_names(coco) == {10: "cat", 20: "dog (id 20)", 30: "dog (id 30)"}
    coco.cats[10]["name"] = "dog (id 20)"
    assert len(set(class_names(coco).values())) == 3


def test_the_ground_truth_stays_as_it_is():
    coco = squares_dataset().coco
    coco.anns[1]["segmentation"] = None
    before = copy.deepcopy(coco.dataset)
    made = renumber_ground_truth(coco, "segm").coco
    assert coco.dataset == before
    assert made.anns[1]["iscrowd"] == 1
    assert made.anns[1]["segmentation"] == [[10, 10, 50, 10, 50, 50, 10, 50]]
    assert renumber_ground_truth(coco, "bbox").coco.anns[1]["iscrowd"] == 0
    coco.anns[1]["bbox"] = [90, -1e6, 1e6, 2e6]  # not rasterized beyond the image: it is huge
    made = renumber_ground_truth(coco, "segm").coco
    assert made.anns[1]["segmentation"] == [[90, 0, 100, 0, 100, 80, 90, 80]]
