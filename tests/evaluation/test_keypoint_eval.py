"""COCO keypoint AP against the recorded values, and sets of other keypoints."""

import json
import logging

import numpy as np
import pytest
import torch

from maskrcnn_benchmark.evaluation import evaluate_coco
from maskrcnn_benchmark.evaluation.keypoint_similarity import oks_sigmas
from maskrcnn_benchmark.evaluation.predictions_file import load_predictions, save_predictions
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.keypoints import Keypoints
from tests.evaluation.dataset import StandInDataset, square, squares_dataset
from tests.helpers.vectors import load_vector

META, ARRAYS = load_vector("keypoint_eval", "vectors_upstream")


def recorded_dataset():
    arguments = META["arguments"]
    content = {key: arguments[key] for key in ("images", "annotations")}
    return StandInDataset(content | {"categories": [{"id": 1, "name": "person"}]})


def recorded_predictions():
    predictions = []
    for index in range(5):
        boxes = BoxList(torch.from_numpy(ARRAYS[f"pred_boxes_{index}"]), (200, 150))
        boxes.add_field("scores", torch.from_numpy(ARRAYS[f"pred_scores_{index}"]))
        boxes.add_field("labels", torch.ones(len(boxes), dtype=torch.int64))
        points = torch.from_numpy(ARRAYS[f"pred_keypoints_{index}"])
        keypoints = Keypoints(points, boxes.size)
        keypoints.add_field("logits", points[..., 0])
        boxes.add_field("keypoints", keypoints)
        predictions.append(boxes)
    return predictions


@pytest.mark.parametrize("evaluator", ["pycocotools", "fast"])
def test_recorded_ap_and_rows(tmp_path, evaluator):
    if evaluator == "fast":
        pytest.importorskip("faster_coco_eval")
    results = evaluate_coco(
        recorded_dataset(),
        recorded_predictions(),
        iou_types=("bbox", "keypoints"),
        evaluator=evaluator,
        output_folder=tmp_path,
    )
    assert results["keypoints"] == pytest.approx(META["arguments"]["metrics"], abs=1e-7)
    assert list(results["keypoints"]) == META["arguments"]["metric_names"]
    assert results.per_class["keypoints"] == {"person": results["keypoints"]["AP"]}
    rows = json.loads((tmp_path / "keypoints.json").read_text())
    points = [row["keypoints"] for row in rows]
    np.testing.assert_allclose(points, ARRAYS["result_keypoints"], atol=1e-4)
    np.testing.assert_allclose([r["score"] for r in rows], ARRAYS["result_scores"], atol=1e-7)
    assert [row["image_id"] for row in rows] == ARRAYS["result_image_ids"].tolist()
    assert {row["category_id"] for row in rows} == {1}
    assert "AP  AP50  AP75   APm   APl\nkeypoints  23.2  43.5" in str(results)


def test_predictions_come_back_from_their_file(tmp_path):
    predictions = recorded_predictions()
    save_predictions(predictions, tmp_path / "predictions.pth")
    again = load_predictions(tmp_path / "predictions.pth")
    for old, new in zip(predictions, again, strict=True):
        torch.testing.assert_close(
            new.get_field("keypoints").keypoints, old.get_field("keypoints").keypoints
        )
        assert new.get_field("keypoints").get_field("logits").shape == (len(old), 17)
    results = evaluate_coco(recorded_dataset(), again, iou_types=("keypoints",))
    assert results["keypoints"] == pytest.approx(META["arguments"]["metrics"], abs=1e-7)


def four_points(shift=0.0, count=4):
    """Return a data set of two squares, one of them without keypoints, and detections."""
    corners = [[10.0, 10, 2], [50, 10, 2], [10, 50, 1], [50, 50, 2]][:count]
    flat = [value for point in corners for value in point]
    images = [{"id": i, "width": 100, "height": 80, "file_name": f"{i}.png"} for i in (1, 2)]
    annotations = [
        {"id": 1, "image_id": 1, "category_id": 1, "keypoints": flat, "num_keypoints": count}
        | square(10, 10, 40),
        {"id": 2, "image_id": 2, "category_id": 1} | square(30, 30, 40),
    ]
    categories = [{"id": 1, "name": "square"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    predictions = []
    for boxes in ([[10, 10, 50, 50]], []):
        found = BoxList(boxes, (100, 80))
        found.add_field("scores", torch.full((len(found),), 0.9))
        found.add_field("labels", torch.ones(len(found), dtype=torch.int64))
        points = torch.tensor([corners] * len(found)).reshape(-1, count, 3)
        moved = points + torch.tensor([shift, 0, 0])
        found.add_field("keypoints", Keypoints(moved, found.size))
        predictions.append(found)
    return StandInDataset(content), predictions


def ap(shift, **options):
    return evaluate_coco(*four_points(shift), iou_types=("keypoints",), **options)["keypoints"]


def test_an_instance_without_keypoints_is_ignored(caplog):
    caplog.set_level(logging.INFO)
    assert ap(0.0)["AP"] == pytest.approx(1)
    assert "1 have no keypoints and are ignored in keypoint evaluation" in caplog.text


def test_sigmas_decide_how_far_is_near(caplog):
    # OKS = exp(-d^2 / (2 * area * (2 sigma)^2)): at 5 pixels, an area of 1600 and the mean of
    # COCO's sigmas, 0.067, exp(-0.435) = 0.65
    assert ap(5.0)["AP50"] == pytest.approx(1)
    assert ap(5.0)["AP75"] == 0
    assert "0.067, the mean of COCO's sigmas" in caplog.text
    assert ap(5.0, keypoint_sigmas=(0.03,) * 4)["AP50"] == 0
    assert ap(5.0, keypoint_sigmas=(0.2,) * 4)["AP75"] == pytest.approx(1)
    # exp(-0.435) for two keypoints and exp(-0.0488) for the others, whose sigma is 0.2: 0.80
    assert ap(5.0, keypoint_sigmas=(0.067, 0.067, 0.2, 0.2))["AP75"] == pytest.approx(1)
    assert len(oks_sigmas((), 17)) == 17 and oks_sigmas((), 17)[0] == pytest.approx(0.026)


@pytest.mark.parametrize("sigmas", [(0.1,) * 3, (0.1, 0.1, 0.1, 0.0)])
def test_wrong_sigmas(sigmas):
    with pytest.raises(ValueError, match="positive number for each of the 4 keypoints"):
        ap(0.0, keypoint_sigmas=sigmas)


def test_models_and_data_that_do_not_fit():
    dataset, predictions = four_points()[0], four_points(count=3)[1]
    with pytest.raises(ValueError, match="predicts 3 keypoints, the data set has 4"):
        evaluate_coco(dataset, predictions, iou_types=("keypoints",))
    with pytest.raises(ValueError, match="predicts 4 keypoints, the data set has 0"):
        evaluate_coco(
            squares_dataset(), [*four_points()[1], four_points()[1][1]], iou_types=("keypoints",)
        )
    del predictions[0].extra_fields["keypoints"]
    with pytest.raises(ValueError, match="keypoints were requested, but the model predicts none"):
        evaluate_coco(dataset, predictions, iou_types=("keypoints",))
    with pytest.raises(ValueError, match=r"bbox, segm, keypoints; got \['pose'\]"):
        evaluate_coco(dataset, predictions, iou_types=("pose",))


def test_no_detections():
    dataset, predictions = four_points()
    empty = [found[torch.zeros(0, dtype=torch.int64)] for found in predictions]
    assert evaluate_coco(dataset, empty, iou_types=("keypoints",))["keypoints"]["AP"] == 0
