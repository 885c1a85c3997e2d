"""Keypoints against the recorded operations, and what upstream refuses."""

import numpy as np
import pytest
import torch

from maskrcnn_benchmark.structures.bounding_box import (
    FLIP_LEFT_RIGHT,
    FLIP_TOP_BOTTOM,
    BoxList,
)
from maskrcnn_benchmark.structures.keypoints import (
    COCO_PERSON,
    Keypoints,
    PersonKeypoints,
    flip_order,
)
from tests.helpers.vectors import load_vector

META, ARRAYS = load_vector("person_keypoints", "vectors_upstream")
SIZE = tuple(META["arguments"]["size"])


def recorded():
    return PersonKeypoints(torch.from_numpy(ARRAYS["keypoints"]), SIZE)


def test_the_coco_person():
    assert COCO_PERSON.keypoint_names == META["arguments"]["names"]
    assert COCO_PERSON.skeleton == META["arguments"]["connections"]
    assert flip_order(COCO_PERSON.keypoint_names) == META["arguments"]["flip_indices"]


def test_recorded_operations():
    keypoints = recorded()
    for name, got in (
        ("flipped", keypoints.transpose(FLIP_LEFT_RIGHT)),
        ("resized_150x240", keypoints.resize((150, 240))),
        ("resized_100x80", keypoints.resize((100, 80))),
        ("from_flat_list", PersonKeypoints(ARRAYS["keypoints"].reshape(-1, 51).tolist(), SIZE)),
    ):
        np.testing.assert_allclose(got.keypoints, ARRAYS[name], atol=1e-4, err_msg=name)
    boxes = BoxList(torch.from_numpy(ARRAYS["boxes"]), SIZE)
    boxes.add_field("keypoints", keypoints)
    even = boxes[torch.arange(len(boxes)) % 2 == 0]
    np.testing.assert_array_equal(even.get_field("keypoints").keypoints, ARRAYS["masked"])
    flipped = boxes.transpose(FLIP_LEFT_RIGHT)
    np.testing.assert_allclose(flipped.bbox, ARRAYS["boxlist_flipped_boxes"], atol=1e-4)
    np.testing.assert_allclose(
        flipped.get_field("keypoints").keypoints,
        ARRAYS["boxlist_flipped_keypoints"],
        atol=1e-4,
    )


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (["top", "left", "right", "center"], [0, 2, 1, 3]),
        (["L_eye", "R_eye", "bright_spot", "tail"], [1, 0, 2, 3]),
        (["Left Ear", "Right Ear", "left_only"], [1, 0, 2]),
        (["wing-l", "wing-r", "LEFT", "RIGHT"], [1, 0, 3, 2]),
    ],
)
def test_flips_exchange_what_the_names_say(names, order):
    assert flip_order(names) == order
    data = torch.rand(2, len(names), 3) * 50 + 1
    keypoints = Keypoints(data, (80, 60), names=names)
    keypoints.add_field("logits", data[..., 0])
    flipped = keypoints.transpose(FLIP_LEFT_RIGHT)
    torch.testing.assert_close(flipped.keypoints[..., 0], 79 - data[:, order, 0])
    torch.testing.assert_close(flipped.keypoints[..., 1:], data[:, order, 1:])
    torch.testing.assert_close(flipped.get_field("logits"), data[:, order, 0])
    torch.testing.assert_close(flipped.transpose(FLIP_LEFT_RIGHT).keypoints, data)


def test_a_vertical_flip_mirrors_the_object_too():
    data = torch.tensor([[[10.0, 20.0, 2.0], [30.0, 40.0, 1.0], [5.0, 6.0, 0.0]]])
    names = ["left_eye", "right_eye", "nose"]
    flipped = Keypoints(data, (80, 60), names=names).transpose(FLIP_TOP_BOTTOM)
    assert flipped.keypoints.tolist() == [[[30, 19, 1], [10, 39, 2], [0, 0, 0]]]
    continuous = Keypoints(data, (80, 60), names=names, pixel_offset=0.0)
    assert continuous.transpose(FLIP_TOP_BOTTOM).keypoints[0, 0].tolist() == [30, 20, 1]


def test_a_crop_hides_what_is_outside():
    data = torch.tensor([[[10.0, 20.0, 2.0], [30.0, 40.0, 1.0], [29.0, 39.0, 1.0]]])
    boxes = BoxList([[5, 5, 35, 45]], (80, 60))
    boxes.add_field("keypoints", Keypoints(data, (80, 60), names=["a", "b", "c"]))
    cropped = boxes.crop((10, 10, 30, 40)).get_field("keypoints")
    assert cropped.size == (20, 30)
    assert cropped.keypoints.tolist() == [[[0, 10, 2], [0, 0, 0], [19, 29, 1]]]


def test_empty_and_wrong_shapes():
    empty = PersonKeypoints([], SIZE)
    assert empty.keypoints.shape == (0, 17, 3)
    for made in (
        empty.resize((10, 10)),
        empty.transpose(FLIP_LEFT_RIGHT),
        empty.crop((0, 0, 5, 5)),
        empty[torch.zeros(0, dtype=torch.bool)],
        empty.to("cpu"),
    ):
        assert made.keypoints.shape == (0, 17, 3)
    with pytest.raises(ValueError, match=r"\[2, 4, 3\] and 17 names"):
        PersonKeypoints(torch.zeros(2, 4, 3), SIZE)
    with pytest.raises(ValueError, match="'logits' is"):
        recorded().add_field("logits", torch.zeros(14, 16))
    with pytest.raises(ValueError, match="a flip needs names"):
        Keypoints(torch.zeros(1, 4, 3), SIZE).transpose(FLIP_LEFT_RIGHT)
    with pytest.raises(ValueError, match="unknown flip 7"):
        recorded().transpose(7)


def test_copies_share_no_memory():
    keypoints = recorded()
    keypoints.add_field("logits", torch.zeros(14, 17))
    copy = keypoints.clone()
    copy.keypoints.fill_(1)
    copy.get_field("logits").fill_(1)
    np.testing.assert_array_equal(keypoints.keypoints, ARRAYS["keypoints"])
    assert not keypoints.get_field("logits").any()
    assert keypoints[3].keypoints.shape == (1, 17, 3)
    assert repr(keypoints).startswith("Keypoints(num_instances=14, num_keypoints=17")
