"""Result files of this project and of others: which scores they hold, and what is refused."""

import json

import numpy as np
import pytest

from maskrcnn_benchmark.report.annotations import read_annotations
from maskrcnn_benchmark.report.detections import read_detections
from maskrcnn_benchmark.structures.rle import decode_rle, encode_rle

WIDTH, HEIGHT = 30, 20


def rle(side):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[:side, :side] = 1
    return encode_rle(mask)


def row(image_id=5, category_id=7, **more):
    return {"image_id": image_id, "category_id": category_id, "segmentation": rle(4), **more}


@pytest.fixture
def coco(tmp_path):
    sized = {"width": WIDTH, "height": HEIGHT}
    content = {
        "images": [
            {"id": 5, "file_name": "a.png", **sized},
            {"id": "x", "file_name": "b", **sized},
        ],
        "categories": [{"id": 7, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [],
    }
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(content))
    return read_annotations(path)


@pytest.fixture
def read(coco, tmp_path):
    def write_and_read(content, name="results.json"):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return read_detections(path, coco)

    return write_and_read


def scores(found):
    return {key: values.tolist() for key, values in found.scores.items()}


def test_a_result_file_of_another_system_has_class_scores_alone(read):
    found = read([row(score=0.25), row("x", 2, score=1, bbox=[0, 0, 4, 4])])
    assert scores(found) == {"score": [0.25, 1]}
    assert [(r["image_id"], r["category_id"]) for r in found.rows] == [(5, 7), ("x", 2)]
    assert decode_rle(found.rows[0]["segmentation"]).sum() == 16


def test_all_three_scores_in_one_file(read):
    found = read([row(score=0.5, mask_iou=0.75, mask_score=0.375)])
    assert scores(found) == {"score": [0.5], "mask_iou": [0.75], "mask_score": [0.375]}


def test_the_score_beside_a_mask_iou_is_the_mask_score(read, tmp_path, coco):
    masks = [row(score=0.4, mask_iou=0.8), row("x", score=0.1, mask_iou=0.2)]
    assert scores(read(masks, "segm.json")) == {"mask_iou": [0.8, 0.2], "mask_score": [0.4, 0.1]}
    boxes = [
        {"image_id": r["image_id"], "category_id": 7, "bbox": [i, 0, 4, 5], "score": 0.5}
        for i, r in enumerate(masks)
    ]
    (tmp_path / "bbox.json").write_text(json.dumps(boxes))
    known = {"mask_iou": [0.8, 0.2], "mask_score": [0.4, 0.1], "score": [0.5, 0.5]}
    assert scores(read_detections(tmp_path / "segm.json", coco)) == known
    found = read_detections(tmp_path, coco)
    assert scores(found) == known
    assert found.boxes.tolist() == [[0, 0, 4, 5], [1, 0, 4, 5]]

    (tmp_path / "bbox.json").write_text(json.dumps(boxes[::-1]))
    with pytest.raises(ValueError, match=r"bbox\.json and segm\.json have different rows: keep"):
        read_detections(tmp_path, coco)


def test_the_file_of_predict_is_matched_by_names(read):
    content = {
        "images": [{"id": 1, "file_name": "b"}, {"id": 2, "file_name": "a.png"}],
        "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}],
        "annotations": [row(1, 1, score=0.5), row(2, 2, score=0.25)],
    }
    found = read(content)
    assert [(r["image_id"], r["category_id"]) for r in found.rows] == [("x", 2), (5, 7)]
    content["images"][0]["file_name"] = ["b"]
    with pytest.raises(ValueError, match=r"row 1: image_id 1, \['b'\], is not in"):
        read(content)
    content["images"][0]["file_name"] = "c.png"
    with pytest.raises(ValueError, match=r"row 1: image_id 1, 'c\.png', is not in the annotation"):
        read(content)


def test_boxes_are_those_of_the_rows_if_all_have_one(read):
    with_box = row(score=1, bbox=[1, 2, 3, 4])
    assert read([with_box]).boxes.tolist() == [[1, 2, 3, 4]]
    assert read([with_box, row(score=1)]).boxes.tolist() == [[0, 0, 4, 4]] * 2
    assert read([]).boxes.shape == (0, 4)


def test_polygons_and_empty_masks_are_taken(read):
    square = [[0, 0, 4, 0, 4, 4, 0, 4]]
    nothing = encode_rle(np.zeros((HEIGHT, WIDTH), np.uint8))
    found = read([row(score=1) | {"segmentation": s} for s in (square, nothing, [])])
    assert [decode_rle(r["segmentation"]).sum() for r in found.rows] == [16, 0, 0]
    assert read([]).rows == []
    assert scores(read([])) == {"score": []}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, ", r"results\.json are not JSON"),
        ({"images": []}, "neither a list of COCO results nor"),
        ([3], "row 1: 3 is not a JSON object"),
        ([row(score=1), row(6, score=1)], "row 2: image_id 6 is not in the annotation file; give"),
        ([row("5", score=1)], "row 1: image_id '5' is not in"),
        ([row(category_id=8, score=1)], "category_id 8 is not in the annotation file"),
        ([row(category_id=[8], score=1)], "category_id .8. is not in the annotation file"),
        ([{"image_id": 5, "category_id": 7, "score": 1}], r"image 5\) has no segmentation: give"),
        ([row(score=1) | {"segmentation": {"size": [2, 2], "counts": [4]}}], "RLE size must be"),
        (
            [row(score=1) | {"segmentation": {"size": [20, 30], "counts": [4]}}],
            r"image 5\): .* add",
        ),
        ([row()], r"row 1 \(image 5\): score is None, not a finite number"),
        ([row(score=1), row(score=float("nan"))], "row 2 .*score is nan, not a finite number"),
        ([row(score=10**400)], "not a finite number"),
        ([row(score=1, mask_iou=1), row(score=1)], "row 2 .*mask_iou is None"),
        ([row(score=1, bbox=[1, 2, 3])], r"row 1 \(image 5\): bbox .* is not x, y, width, height"),
        ({"annotations": [row()]}, "no images and categories"),
        ({"annotations": [4], "images": [], "categories": []}, "row 1: 4 is not a JSON object"),
    ],
)
def test_what_is_wrong_is_named_with_its_row_and_image(read, content, message):
    with pytest.raises(ValueError, match=message) as error:
        read(content)
    assert "\n" not in str(error.value)


def test_a_missing_file(coco, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"segm\.json do not exist"):
        read_detections(tmp_path, coco)
