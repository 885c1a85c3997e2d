import numpy as np
import pytest
import torch

from maskrcnn_benchmark.structures.bounding_box import (
    FLIP_LEFT_RIGHT,
    FLIP_TOP_BOTTOM,
    BoxList,
)
from maskrcnn_benchmark.structures.boxlist_ops import (
    boxlist_iou,
    boxlist_nms,
    cat_boxlist,
    remove_small_boxes,
)
from maskrcnn_benchmark.structures.segmentation_mask import SegmentationMask
from tests.helpers.vectors import load_vector

META, ARRAYS = load_vector("boxlist_ops")
SIZE = tuple(META["arguments"]["image_size_wh"])


def boxes() -> BoxList:
    return BoxList(torch.from_numpy(ARRAYS["boxes"]), SIZE)


def second() -> BoxList:
    return BoxList(torch.from_numpy(ARRAYS["boxes2"]), SIZE)


CASES = {
    "xywh": lambda: boxes().convert("xywh"),
    "resize_eq": lambda: boxes().resize((400, 300)),
    "resize_ne": lambda: boxes().resize((600, 225)),
    "resize_eq_xywh": lambda: boxes().convert("xywh").resize((400, 300)),
    "resize_ne_xywh": lambda: boxes().convert("xywh").resize((600, 225)),
    "flip_lr": lambda: boxes().transpose(FLIP_LEFT_RIGHT),
    "flip_tb": lambda: boxes().transpose(FLIP_TOP_BOTTOM),
    "flip_lr_xywh": lambda: boxes().convert("xywh").transpose(FLIP_LEFT_RIGHT),
    "back_xyxy": lambda: boxes().convert("xywh").convert("xyxy"),
    "crop": lambda: boxes().crop((20, 30, 120, 110)),
    "clip": lambda: boxes().clip_to_image(remove_empty=False),
    "clip_remove": lambda: boxes().clip_to_image(remove_empty=True),
    "small_0": lambda: remove_small_boxes(boxes(), 0),
    "small_1": lambda: remove_small_boxes(boxes(), 1),
    "small_2": lambda: remove_small_boxes(boxes(), 2),
    "small_10": lambda: remove_small_boxes(boxes(), 10),
    "cat": lambda: cat_boxlist([boxes(), second()]),
}


@pytest.mark.parametrize("name", CASES)
def test_recorded_geometry(name):
    np.testing.assert_allclose(CASES[name]().bbox.numpy(), ARRAYS[name], rtol=0, atol=1e-5)


def test_recorded_areas_and_iou():
    np.testing.assert_allclose(boxes().area().numpy(), ARRAYS["area"], rtol=1e-6)
    np.testing.assert_allclose(boxes().convert("xywh").area().numpy(), ARRAYS["area_xywh"])
    np.testing.assert_allclose(boxlist_iou(boxes(), second()).numpy(), ARRAYS["iou"], atol=1e-6)


def test_all_recorded_outputs_are_tested():
    assert set(CASES) | {"area", "area_xywh", "iou"} == set(META["outputs"])


def test_clipping_leaves_the_input_alone():
    before = boxes()
    before.clip_to_image()
    np.testing.assert_array_equal(before.bbox.numpy(), ARRAYS["boxes"])


def test_fields_follow_the_boxes():
    squares = [[0, 0, 9, 9], [20, 20, 29, 29], [-50, -50, -40, -40]]
    boxlist = BoxList(squares, (100, 80))
    boxlist.add_field("labels", torch.tensor([3, 4, 5]))
    polygons = [[[0, 0, 10, 0, 10, 10, 0, 10]], [[20, 20, 30, 20, 30, 30]], [[1, 1, 2, 1, 2, 2]]]
    boxlist.add_field("masks", SegmentationMask(polygons, (100, 80)))
    clipped = boxlist.clip_to_image()
    assert clipped.get_field("labels").tolist() == [3, 4]
    assert len(clipped.get_field("masks")) == 2
    picked = clipped[torch.tensor([False, True])]
    np.testing.assert_array_equal(
        picked.get_field("masks").instances[0].polygons[0], polygons[1][0]
    )
    halved = picked.resize((50, 40))
    np.testing.assert_array_equal(
        halved.get_field("masks").instances[0].polygons[0], np.array(polygons[1][0]) / 2
    )


@pytest.mark.parametrize("mode", ["xyxy", "xywh"])
def test_empty(mode):
    empty = BoxList([], (50, 40), mode)
    empty.add_field("labels", torch.zeros(0, dtype=torch.int64))
    for result in (
        empty.convert("xyxy"),
        empty.resize((25, 60)),
        empty.transpose(FLIP_LEFT_RIGHT),
        empty.crop((0, 0, 10, 10)),
        empty.clip_to_image(),
        remove_small_boxes(empty, 3),
        cat_boxlist([empty, empty]),
    ):
        assert result.bbox.shape == (0, 4)
        assert result.get_field("labels").dtype == torch.int64
    assert boxlist_iou(empty, BoxList([[0, 0, 1, 1]], (50, 40))).shape == (0, 1)
    empty.add_field("scores", torch.zeros(0))
    assert len(boxlist_nms(empty, 0.5)) == 0


def test_nms_keeps_the_order_of_the_list_and_caps_by_score():
    three = BoxList([[0, 0, 9, 9], [50, 50, 59, 59], [0, 0, 9, 8]], (100, 100))
    three.add_field("scores", torch.tensor([0.5, 0.9, 0.8]))
    assert boxlist_nms(three, 0.5).get_field("scores").tolist() == pytest.approx([0.9, 0.8])
    assert boxlist_nms(three, 0.5, max_proposals=1).get_field("scores").tolist() == pytest.approx(
        [0.9]
    )
    assert len(boxlist_nms(three, 0)) == 3


def test_error_messages():
    with pytest.raises(ValueError, match=r"\[N, 4\], got \[3, 5\]"):
        BoxList(torch.zeros(3, 5), (10, 10))
    with pytest.raises(ValueError, match="'xy'"):
        BoxList([], (10, 10), "xy")
    with pytest.raises(ValueError, match="'labels' has 2 entries for 1 boxes"):
        BoxList([[0, 0, 1, 1]], (10, 10)).add_field("labels", torch.zeros(2))
    with pytest.raises(KeyError, match="no field 'scores'"):
        boxes().get_field("scores")
    with pytest.raises(ValueError, match="image sizes differ"):
        boxlist_iou(boxes(), BoxList([], (1, 1)))


@pytest.mark.parametrize(("pixel_offset", "kept"), [(1.0, [0]), (0.0, [0, 1])])
def test_nms_of_a_list_is_in_its_convention(pixel_offset, kept):
    """Rows 0 to 9 and 0 to 4: 50 of 100 pixels inclusive, 36 of 81 between the ends."""
    pair = BoxList([[0, 0, 9, 9], [0, 0, 9, 4]], SIZE, pixel_offset=pixel_offset)
    pair.add_field("scores", torch.tensor([0.9, 0.8]))
    found = boxlist_nms(pair, 0.48)
    assert found.bbox.equal(pair.bbox[kept])
