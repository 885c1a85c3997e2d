import json
import logging

import numpy as np
import pytest
import torch

from maskrcnn_benchmark.evaluation.coco_eval import detection_rows, evaluate_coco
from maskrcnn_benchmark.evaluation.mask_quality import mask_quality
from maskrcnn_benchmark.evaluation.original_frame import original_size, to_original_frame
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.mask_paste import Masker
from tests.evaluation.dataset import (
    StandInDataset,
    perfect_predictions,
    recorded_dataset,
    recorded_predictions,
    squares_dataset,
)
from tests.helpers.vectors import load_vector

RECORDED = load_vector("coco_eval")[0]["arguments"]["results"]
BOTH = ("bbox", "segm")


def empty_predictions(*fields, count=3):
    predictions = []
    for _ in range(count):
        boxes = BoxList(torch.zeros(0, 4), (100, 80))
        shapes = {"mask": (0, 1, 28, 28)}
        for name in fields:
            boxes.add_field(name, torch.zeros(shapes.get(name, (0,))))
        predictions.append(boxes)
    return predictions


def test_the_recorded_predictions_get_the_recorded_numbers(tmp_path, capsys):
    predictions = recorded_predictions("labels", "scores", "mask", "mask_scores")
    results = evaluate_coco(recorded_dataset(), predictions, iou_types=BOTH, output_folder=tmp_path)
    assert list(results["bbox"].values()) == RECORDED["stats_bbox"][:6]
    assert list(results["segm"].values()) == RECORDED["stats_segm_maskiou"][:6]
    assert list(results["segm_by_class_score"].values()) == RECORDED["stats_segm"][:6]
    assert json.loads((tmp_path / "bbox.json").read_text())[0].keys() == {
        "image_id", "category_id", "bbox", "score"
    }  # fmt: skip
    segm = json.loads((tmp_path / "segm.json").read_text())
    assert segm == RECORDED["segm_maskiou"]
    saved = torch.load(tmp_path / "coco_results.pth", weights_only=True)
    assert saved == results.results
    assert json.loads((tmp_path / "results.json").read_text())["results"] == results.results
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("scale", [1, 3])
def test_perfect_predictions_reach_one_in_a_resized_image_too(scale):
    dataset = squares_dataset()
    results = evaluate_coco(dataset, perfect_predictions(dataset, scale), iou_types=BOTH)
    assert results["bbox"]["AP"] == pytest.approx(1)
    # a mask of 28 cells is blurred at the border by padding
    assert results["segm"]["AP"] > 0.85
    assert results["segm"]["AP75"] == pytest.approx(1)
    assert "segm_by_class_score" not in results
    assert results["bbox"]["APs"] == -1


def test_each_class_has_its_own_ap():
    dataset = squares_dataset()
    predictions = perfect_predictions(dataset)
    cats_only = [p[p.get_field("labels") == 1] for p in predictions]
    results = evaluate_coco(dataset, cats_only)
    assert results.per_class["bbox"] == {"cat": pytest.approx(1), "dog": 0}
    assert results["bbox"]["AP"] == pytest.approx(0.5)
    assert "cat" in str(results)


def test_ranking_by_a_better_mask_score_raises_the_ap():
    dataset = squares_dataset()
    predictions = perfect_predictions(dataset)
    doubled = []
    for boxes in predictions:
        bad = boxes[list(range(len(boxes)))]
        mask = torch.zeros(len(bad), 1, 28, 28)
        mask[:, :, :, :8] = 1
        bad.add_field("mask", mask)
        bad.add_field("scores", boxes.get_field("scores") + 0.05)
        both = BoxList(torch.cat([boxes.bbox, bad.bbox]), boxes.size)
        for name in ("labels", "scores", "mask"):
            both.add_field(name, torch.cat([boxes.get_field(name), bad.get_field(name)]))
        quality = torch.cat([torch.full((len(boxes),), 0.9), torch.full((len(boxes),), 0.3)])
        both.add_field("mask_ious", quality)
        both.add_field("mask_scores", quality * both.get_field("scores"))
        doubled.append(both)
    results = evaluate_coco(dataset, doubled, iou_types=BOTH)
    assert results["segm"]["AP"] > results["segm_by_class_score"]["AP"] + 0.2
    assert "difference +" in str(results)
    quality = results.mask_quality["all"]
    assert quality["count"] == 6
    assert quality["pearson"] > 0.95


@pytest.mark.parametrize("fields", [(), ("labels", "scores", "mask", "mask_ious", "mask_scores")])
def test_no_detections_give_zero_and_a_hint(tmp_path, caplog, fields):
    logging.getLogger("maskrcnn_benchmark").propagate = True
    with caplog.at_level(logging.WARNING):
        results = evaluate_coco(
            squares_dataset(),
            empty_predictions(*fields),
            iou_types=BOTH,
            output_folder=tmp_path,
        )
    assert results["bbox"]["AP"] == 0
    assert results["segm"]["AP"] == 0
    assert results["bbox"]["APs"] == -1
    assert "weights that were not loaded" in caplog.text
    assert json.loads((tmp_path / "segm.json").read_text()) == []


def test_no_ground_truth():
    dataset = squares_dataset()
    dataset.coco.dataset["annotations"].clear()
    dataset.coco.createIndex()
    boxes = BoxList(torch.tensor([[1.0, 1, 20, 20]]), (100, 80))
    boxes.add_field("labels", torch.tensor([1]))
    boxes.add_field("scores", torch.tensor([0.5]))
    boxes.add_field("mask", torch.ones(1, 1, 28, 28))
    boxes.add_field("mask_ious", torch.tensor([0.8]))
    boxes.add_field("mask_scores", torch.tensor([0.4]))
    predictions = [boxes, *empty_predictions(*boxes.fields(), count=2)]
    results = evaluate_coco(dataset, predictions, iou_types=BOTH)
    assert results["segm"]["AP"] == -1
    rows = detection_rows(dataset, predictions, BOTH, Masker())
    quality = mask_quality(dataset.coco, rows["bbox"], rows["segm"])
    assert np.isnan(quality["all"]["pearson"])
    assert quality["all"]["mean_true"] == 0


def test_masks_of_a_model_without_masks_are_an_error():
    predictions = recorded_predictions("labels", "scores")
    with pytest.raises(ValueError, match="no masks"):
        evaluate_coco(recorded_dataset(), predictions, iou_types=BOTH)
    with pytest.raises(ValueError, match="keypoints"):
        evaluate_coco(recorded_dataset(), predictions, iou_types=("keypoints",))


def test_proposals_are_evaluated_by_recall(tmp_path):
    predictions = recorded_predictions("objectness")
    results = evaluate_coco(recorded_dataset(), predictions, box_only=True, output_folder=tmp_path)
    assert results["box_proposal"]["AR@100"] == pytest.approx(RECORDED["ar_all_100"]["ar"])
    assert results["box_proposal"]["ARm@100"] == -1
    saved = torch.load(tmp_path / "box_proposals.pth", weights_only=True)
    assert saved == results.results


def test_proposals_in_the_original_frame():
    dataset, predictions = recorded_dataset(), recorded_predictions("objectness")
    found = [
        to_original_frame(boxes, original_size(dataset, index), None)
        for index, boxes in enumerate(predictions)
    ]
    assert any(a.size != b.size for a, b in zip(found, predictions, strict=True))
    expected = evaluate_coco(dataset, predictions, box_only=True)
    assert evaluate_coco(dataset, found, box_only=True).results == expected.results


def test_the_masker_pastes_what_is_evaluated():
    dataset = squares_dataset()
    predictions = perfect_predictions(dataset)
    for boxes in predictions:
        boxes.add_field("mask", boxes.get_field("mask") * 0.4)
    low = evaluate_coco(dataset, predictions, iou_types=BOTH, masker=Masker(0.2))
    assert low["segm"]["AP50"] == pytest.approx(1)
    assert evaluate_coco(dataset, predictions, iou_types=BOTH)["segm"]["AP50"] == 0
    aligned = Masker(0.4, aligned=True)
    for boxes, size in zip(predictions, [(100, 80)] * 3, strict=True):
        rles = to_original_frame(boxes, size, aligned).get_field("rles")
        assert rles.dicts() == aligned.rles(boxes.get_field("mask"), boxes).dicts()


def test_predictions_without_annotations_are_written_but_not_evaluated(tmp_path, caplog):
    predictions = perfect_predictions(squares_dataset())
    unannotated = squares_dataset()
    unannotated.coco.dataset["annotations"] = []
    test_set = StandInDataset(unannotated.coco.dataset)
    with caplog.at_level(logging.WARNING):
        results = evaluate_coco(
            test_set,
            predictions,
            iou_types=BOTH,
            output_folder=tmp_path,
            expected_results=[["bbox", "AP", 0.4, 0.01]],
        )
    assert set(results.results) == {"bbox", "segm"}
    assert all(value == -1 for task in BOTH for value in results[task].values())
    assert f"no annotations: nothing is evaluated. Detections are in {tmp_path}" in caplog.text
    for task in BOTH:
        assert len(json.loads((tmp_path / f"{task}.json").read_text())) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bbox.json", "segm.json"]
    assert evaluate_coco(test_set, predictions, box_only=True)["box_proposal"]["AR@100"] == -1
