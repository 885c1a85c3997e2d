"""The JSON of predictions keeps the box convention."""

import json

import numpy as np
import pytest
import torch

from maskrcnn_benchmark.predict.prediction import Prediction
from maskrcnn_benchmark.predict.results_file import ResultsFile, load_results_file
from maskrcnn_benchmark.structures.bounding_box import BoxList

BOXES = np.array([[10, 20, 30.5, 60], [0, 0, 0, 0], [99, 79, 99, 79]], np.float32)
NAMES = ["__background__", "cat"]


def found(offset, boxes=BOXES):
    count = len(boxes)
    detections = BoxList(torch.from_numpy(boxes), (100, 80), pixel_offset=offset)
    detections.add_field("labels", torch.ones(count, dtype=torch.int64))
    detections.add_field("scores", torch.linspace(0.9, 0.1, count))
    return Prediction(detections, NAMES)


def written(path, *predictions):
    file = ResultsFile(NAMES, [7])
    for prediction in predictions:
        file.add("a.png", prediction)
    file.write(path)
    return path


@pytest.mark.parametrize("offset", [0.0, 1.0])
def test_boxes_of_both_conventions_come_back(offset, tmp_path):
    boxes = BOXES + np.array([0, 0, 1, 1], np.float32) * (1 - offset)  # the same pixels
    path = written(tmp_path / "a.json", found(offset, boxes))
    content = json.loads(path.read_text())
    assert content["info"] == {"pixel_offset": offset}
    bboxes = [row["bbox"] for row in content["annotations"]]
    assert bboxes == [[10, 20, 21.5, 41], [0, 0, 1, 1], [99, 79, 1, 1]]  # a pixel is 1 wide
    ((_, again),) = load_results_file(path)
    np.testing.assert_array_equal(again.boxes, boxes)
    assert again.pixel_offset == offset
    # read and written again nothing moves
    assert json.loads(written(tmp_path / "b.json", again).read_text()) == content


def test_boxes_of_a_file_without_the_convention_are_inclusive(tmp_path):
    path = written(tmp_path / "a.json", found(1.0))
    content = json.loads(path.read_text())
    del content["info"]
    path.write_text(json.dumps(content))
    ((_, again),) = load_results_file(path)
    np.testing.assert_array_equal(again.boxes, BOXES)
    path.write_text(json.dumps(content | {"info": "by hand"}))
    with pytest.raises(ValueError, match="is not a JSON of predictions"):
        load_results_file(path)


def test_a_file_has_one_convention(tmp_path):
    with pytest.raises(
        ValueError, match=r"a.png: pixel offset 0.0 differs from that of earlier images, 1.0"
    ):
        written(tmp_path / "a.json", found(1.0), found(0.0))
    path = written(tmp_path / "none.json")
    assert json.loads(path.read_text())["info"] == {}
    assert load_results_file(path) == []


@pytest.mark.parametrize("offset", [0.0, 1.0])
def test_boxes_are_drawn_round_the_same_pixels(offset):
    boxes = BOXES + np.array([0, 0, 1, 1], np.float32) * (1 - offset)
    prediction = found(offset, boxes)
    edges = [prediction.box(i, (80, 100)).tolist() for i in range(3)]
    assert edges == [[10, 20, 31.5, 61], [0, 0, 1, 1], [99, 79, 100, 80]]
    assert prediction.mask(1, (80, 100)).sum() == 1
