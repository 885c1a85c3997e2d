"""What the page shows of an image, for every choice, from one run of the model."""

import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from maskrcnn_benchmark.predict.web.inspection import (
    LONG_SIDE,
    Choice,
    Row,
    inspect_image,
)
from maskrcnn_benchmark.visualization.colors import colors_for
from tests.predict.web.cases import (
    BOXES,
    MASK_IOUS,
    NUMBERS,
    POOR,
    SCORES,
    SIZE,
    FakePredictor,
    gray_image,
    prediction,
)

FACTOR = LONG_SIDE // SIZE[0]
ORDERS = {"score": [4, 1, 2, 3], "mask_iou": [3, 2, 1, 4], "mask_score": [1, 2, 3, 4]}


def inspection(**options):
    return inspect_image("photo.jpg", gray_image(), FakePredictor(prediction(**options)))


@pytest.fixture(scope="module")
def found():
    return inspection()


def center(number):
    """Return a pixel of the picture that only this detection covers."""
    x1, y1, *_ = BOXES[NUMBERS.index(number)]
    return (x1 + 1) * FACTOR + FACTOR // 2, (y1 + 1) * FACTOR + FACTOR // 2


@pytest.mark.parametrize("key", ORDERS)
def test_rows_are_those_at_or_above_the_threshold_by_each_score(found, key):
    values = {
        number: {"score": s, "mask_iou": m, "mask_score": s * m}[key]
        for number, s, m in zip(NUMBERS, SCORES, MASK_IOUS, strict=True)
    }
    for threshold in (0, 0.5, 0.55, 0.5859375, 0.7, 0.875, 1.0, 1.01):
        expected = [number for number in ORDERS[key] if values[number] >= threshold]
        assert [row.number for row in found.rows(Choice(key, threshold))] == expected


def test_a_row_has_the_scores_of_its_detection(found):
    for row in found.rows(Choice("score", 0)):
        index = NUMBERS.index(row.number)
        assert row.name == ["cat", "dog", "cat", "dog"][index]
        assert (row.score, row.mask_iou) == (SCORES[index], MASK_IOUS[index])
        assert row.mask_score == SCORES[index] * MASK_IOUS[index]
        assert row.is_confident_but_poor == (row.number in POOR)


@pytest.mark.parametrize(
    ("score", "mask_iou", "marked"),
    [(0.7, 0.69, True), (0.69, 0.1, False), (0.99, 0.7, False), (0.99, None, False)],
)
def test_confident_but_poor(score, mask_iou, marked):
    assert Row(1, "cat", score, mask_iou, None).is_confident_but_poor == marked


def test_the_model_runs_once():
    predictor = FakePredictor(prediction())
    inspected = inspect_image("photo.jpg", gray_image(), predictor)
    for key in ORDERS:
        inspected.picture(Choice(key, 0.3, 1))
        inspected.write_json(Choice(key, 0.3))
    assert predictor.calls == 1


def test_the_picture_shows_the_chosen_ones_in_their_colors(found):
    def colored(choice):
        picture = found.picture(choice)
        assert picture.shape == (SIZE[1] * FACTOR, LONG_SIDE, 3)
        colors = colors_for(np.arange(4)).astype(float)
        shown = []
        for number in (1, 2, 4):  # the third lies in the first
            x, y = center(number)
            change = picture[y, x].astype(float) - 200
            if np.abs(change).max() > 10:
                toward = colors[number - 1] - 200
                assert change @ toward / np.linalg.norm(change) / np.linalg.norm(toward) > 0.99
                shown.append(number)
        return shown

    assert colored(Choice("mask_score", 0)) == [1, 2, 4]
    assert colored(Choice("mask_score", 0.51)) == [1, 2]
    assert colored(Choice("score", 0.8)) == [1, 4]
    assert colored(Choice("mask_iou", 0.6)) == [1, 2]
    assert colored(Choice("score", 1.01)) == []


def test_marked_ones_have_another_label(found, monkeypatch):
    drawn = []
    module = "maskrcnn_benchmark.predict.web.inspection.draw_instances"
    monkeypatch.setattr(module, lambda image, shown, **_: drawn.append(shown.names) or image)
    found.picture(Choice("mask_score", 0))
    assert drawn == [["1 ⚠ dog", "2 cat", "3 cat", "4 ⚠ dog"]]


def test_a_highlighted_one_stays_bright_and_the_rest_is_dimmed(found):
    plain = found.picture(Choice("mask_score", 0)).astype(int)
    picture = found.picture(Choice("mask_score", 0, highlighted=4)).astype(int)
    x, y = center(4)
    np.testing.assert_array_equal(picture[y, x], plain[y, x])
    for number in (1, 2, 3):
        x, y = center(number)
        assert picture[y, x].sum() < 0.6 * plain[y, x].sum()
        assert picture[y, x].std() > 2  # still in color
    np.testing.assert_array_equal(picture[5, 5], [80] * 3)
    below = found.picture(Choice("mask_score", 0.51, highlighted=4))  # not among the chosen
    np.testing.assert_array_equal(below, found.picture(Choice("mask_score", 0.51)))


def test_the_number_at_a_pixel(found):
    everything = Choice("mask_score", 0)
    assert [found.number_at(everything, *center(n)) for n in (1, 2, 3, 4)] == [1, 2, 3, 4]
    assert found.number_at(everything, 5, 5) is None
    assert found.number_at(Choice("mask_score", 0.56), *center(3)) == 1  # what is around it


def test_the_json_holds_the_chosen_ones_in_pixels_of_the_file(found):
    content = json.loads(found.write_json(Choice("score", 0.7)).read_text(encoding="utf-8"))
    (image,) = content["images"]
    assert (image["file_name"], image["width"], image["height"]) == ("photo.jpg", *SIZE)
    assert [c["id"] for c in content["categories"]] == [7, 9]
    rows = [(a["score"], a["mask_iou"], a["category_id"]) for a in content["annotations"]]
    assert rows == [(1.0, 0.5, 9), (0.875, 0.6875, 9), (0.75, 0.78125, 7)]
    for annotation, index in zip(content["annotations"], (3, 1, 0), strict=True):
        x1, y1, x2, y2 = BOXES[index]
        expected = np.zeros(SIZE[::-1], np.uint8)
        expected[y1 : y2 + 1, x1 : x2 + 1] = 1
        mask = coco_mask.decode(annotation["segmentation"])
        assert (mask & expected).sum() / (mask | expected).sum() > 0.8


def test_the_png_is_the_picture(found):
    choice = Choice("mask_iou", 0.3, 2)
    path = found.write_picture(choice)
    assert path.name == "photo_instances.png"
    np.testing.assert_array_equal(np.asarray(Image.open(path)), found.picture(choice))


def test_the_files_go_with_the_results():
    inspected = inspection()
    path = inspected.write_json(Choice("score", 0))
    del inspected
    assert not path.parent.exists()


def test_nothing_found():
    inspected = inspection(rows=())
    assert inspected.rows(Choice("mask_score", 0)) == []
    assert (inspected.picture(Choice("mask_score", 0, 1)) == 200).all()
    assert inspected.number_at(Choice("score", 0), 5, 5) is None
    assert json.loads(inspected.write_json(Choice("score", 0)).read_text())["annotations"] == []


@pytest.mark.parametrize("masks", [False, True])
def test_models_without_mask_scores_or_masks(masks):
    inspected = inspection(mask_scores=False, masks=masks)
    rows = inspected.rows(Choice("score", 0.7))
    assert [(row.score, row.mask_iou, row.mask_score) for row in rows] == [
        (1.0, None, None),
        (0.875, None, None),
        (0.75, None, None),
    ]
    x, y = center(4)  # the best by class score has number 1
    assert inspected.number_at(Choice("score", 0.7), x, y) == 1
    assert (inspected.picture(Choice("score", 0.7))[y, x] != 200).any()


@pytest.mark.parametrize("size", [(3000, 1), (1, 3000), (4000, 3000)])
def test_images_of_any_size_are_shown_at_one(size):
    image = Image.new("RGB", size)
    inspected = inspect_image("photo.jpg", image, FakePredictor(prediction()))
    height, width = inspected.picture(Choice("score", 0)).shape[:2]
    assert max(width, height) == LONG_SIDE
    assert inspected.prediction.size == size
