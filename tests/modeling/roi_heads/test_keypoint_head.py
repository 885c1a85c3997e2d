"""The keypoint head against recorded values and OpenCV; empty images and batches."""

import cv2
import numpy as np
import pytest
import torch

from maskrcnn_benchmark.modeling.matcher import Matcher
from maskrcnn_benchmark.modeling.roi_heads import heat_maps
from maskrcnn_benchmark.modeling.roi_heads.heat_maps import (
    heat_maps_to_keypoints,
    keypoints_to_heat_map,
)
from maskrcnn_benchmark.modeling.roi_heads.keypoint_head import (
    has_keypoint_target,
    keypoint_loss,
    keypoint_targets,
)
from maskrcnn_benchmark.modeling.roi_heads.sampling import ProposalSampler
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.keypoints import Keypoints, PersonKeypoints
from tests.helpers.first_n_sampler import FirstNSampler
from tests.helpers.vectors import load_vector


@pytest.mark.parametrize("size", [28, 56])
def test_recorded_targets(size):
    _, arrays = load_vector(f"kp_targets_{size}", "vectors_upstream")
    keypoints, boxes = torch.from_numpy(arrays["keypoints"]), torch.from_numpy(arrays["boxes"])
    cells, valid = keypoints_to_heat_map(keypoints, boxes, size)
    np.testing.assert_array_equal(cells, arrays["heatmap_index"])
    np.testing.assert_array_equal(valid, arrays["valid"].astype(bool))


def test_recorded_decoding():
    _, arrays = load_vector("kp_decode", "vectors_upstream")
    maps = torch.from_numpy(arrays["heatmaps"].astype(np.float32))
    keypoints, logits = heat_maps_to_keypoints(maps, torch.from_numpy(arrays["boxes"]))
    np.testing.assert_allclose(keypoints, arrays["keypoints"], atol=1e-4)
    np.testing.assert_allclose(logits, arrays["scores"], atol=1e-4)


def opencv_decoding(maps, boxes):
    """Decode map by map."""
    points, logits = [], []
    for of_roi, (x1, y1, x2, y2) in zip(maps.numpy(), boxes.numpy(), strict=True):
        w, h = max(x2 - x1, 1), max(y2 - y1, 1)
        size = (int(np.ceil(w)), int(np.ceil(h)))
        for heat_map in of_roi:
            large = cv2.resize(heat_map, size, interpolation=cv2.INTER_CUBIC)
            row, column = np.unravel_index(large.argmax(), large.shape)
            x, y = (column + 0.5) * w / size[0] + x1, (row + 0.5) * h / size[1] + y1
            points.append((x, y, 1))
            logits.append(large[row, column])
    shape = maps.shape[:2]
    return np.reshape(points, (*shape, 3)), np.reshape(logits, shape)


@pytest.mark.parametrize("max_values", [1, 40_000, 1 << 23])
def test_rois_are_decoded_together_in_groups_of_any_size(max_values, monkeypatch):
    monkeypatch.setattr(heat_maps, "_MAX_VALUES", max_values)
    corners = torch.rand(9, 2) * 100
    sizes = torch.tensor([0, 0.3, 1, 7.5, 20, 20, 33.3, 90, 130.1])[:, None] * torch.tensor(
        [1, 0.6]
    )
    boxes = torch.cat([corners, corners + sizes], dim=1)[torch.randperm(9)]
    maps = torch.randn(9, 3, 12, 12)
    keypoints, logits = heat_maps_to_keypoints(maps, boxes)
    points, values = opencv_decoding(maps, boxes)
    np.testing.assert_allclose(keypoints, points, atol=1e-3)
    np.testing.assert_allclose(logits, values, atol=1e-4)


def test_the_first_of_equal_maxima_is_taken():
    keypoints, _ = heat_maps_to_keypoints(
        torch.zeros(2, 1, 4, 4), torch.tensor([[10.0, 20, 14, 24], [0, 0, 30, 30]])
    )
    assert keypoints.tolist() == [[[10.5, 20.5, 1]], [[0.5, 0.5, 1]]]


@pytest.mark.parametrize("sharpness", [0.0, 0.3, 30.0])
@pytest.mark.parametrize("side", [5.0, 56.0, 211.3])
def test_peaks_and_plateaus_of_any_shape(sharpness, side):
    """The columns that are left out never hold the maximum."""
    places = torch.rand(4, 17, 2, 1, 1) * 56
    steps = torch.arange(56.0)
    distance = (steps - places[..., 0, :, :]) ** 2 + (steps[:, None] - places[..., 1, :, :]) ** 2
    maps = -sharpness * distance / 100 + 0.02 * torch.randn(4, 17, 56, 56)
    corners = torch.rand(4, 2) * 50
    boxes = torch.cat([corners, corners + side * torch.tensor([1, 0.7])], dim=1)
    keypoints, logits = heat_maps_to_keypoints(maps, boxes)
    points, values = opencv_decoding(maps, boxes)
    np.testing.assert_allclose(logits, values, atol=1e-4)
    near = np.abs(keypoints.numpy() - points).max(axis=2) < 1e-3
    assert near.mean() > 0.95  # elsewhere two values are equal up to rounding


def test_a_diverged_model_has_finite_keypoints():
    maps = torch.randn(2, 3, 8, 8)
    maps[0, 1] = torch.nan
    maps[1, 2, 3, 4] = torch.nan
    maps[1, 0, 0, 0] = torch.inf
    boxes = torch.tensor([[10.0, 10, 40, 50], [5, 5, 9, 40]])
    keypoints, _ = heat_maps_to_keypoints(maps, boxes)
    low, high = boxes[:, None, :2], boxes[:, None, 2:]
    assert ((keypoints[..., :2] >= low) & (keypoints[..., :2] <= high)).all()


def test_mixed_precision_does_not_touch_the_decoding():
    maps, boxes = torch.randn(2, 3, 8, 8), torch.tensor([[0.0, 0, 50, 60], [5, 5, 90, 40]])
    expected = heat_maps_to_keypoints(maps, boxes)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = heat_maps_to_keypoints(maps, boxes)
    torch.testing.assert_close(got, expected, rtol=0, atol=0)


def recorded_sampling():
    meta, arrays = load_vector("kp_loss", "vectors_upstream")
    size = tuple(meta["arguments"]["size"])
    target = BoxList(torch.from_numpy(arrays["gt_boxes"]), size)
    target.add_field("labels", torch.ones(len(target), dtype=torch.int64))
    target.add_field("keypoints", PersonKeypoints(torch.from_numpy(arrays["gt_keypoints"]), size))
    proposals = BoxList(torch.from_numpy(arrays["proposals"]), size)
    sampler = ProposalSampler(Matcher(0.5, 0.5), FirstNSampler(16, 0.25))
    return arrays, sampler.match([proposals], [target])


def test_recorded_sampling_and_loss():
    arrays, matched = recorded_sampling()
    (learned,) = has_keypoint_target(matched)
    np.testing.assert_array_equal(learned, arrays["labels"] == 1)
    positives = matched[[learned.nonzero().flatten()[:4]]]
    np.testing.assert_array_equal(positives.boxes[0].bbox, arrays["sampled_boxes"])
    gt = positives.ground_truth[0].get_field("keypoints").keypoints[positives.matched_gt[0]]
    np.testing.assert_array_equal(gt, arrays["sampled_keypoints"])
    draw = np.random.RandomState(1950).standard_normal((4, 17, 56, 56))  # noqa: NPY002
    logits = torch.from_numpy(draw.astype(np.float32)).requires_grad_()
    loss = keypoint_loss(logits, *keypoint_targets(positives, 56))
    loss.backward()
    np.testing.assert_allclose(loss.item(), arrays["loss"], rtol=1e-5)
    np.testing.assert_allclose(logits.grad.norm(), arrays["grad_norm"], rtol=1e-4)
    rows = logits.grad.flatten(2).norm(dim=2)
    np.testing.assert_allclose(rows, arrays["grad_row_norm"], atol=1e-6)


def test_keypoints_outside_their_own_box_do_not_count():
    target = BoxList([[10, 10, 30, 30], [40, 10, 60, 30], [70, 10, 90, 30]], (100, 50))
    target.add_field("labels", torch.tensor([1, 1, 1]))
    data = [[[30, 10, 1]], [[61, 20, 2]], [[80, 20, 0]]]  # on the border, outside, not annotated
    target.add_field("keypoints", Keypoints(torch.tensor(data), (100, 50), names=["a"]))
    matched = ProposalSampler(Matcher(0.5, 0.5), FirstNSampler(4, 0.5)).match([target], [target])
    assert has_keypoint_target(matched)[0].tolist() == [True, False, False]


def no_targets(count):
    return torch.zeros(count, 5, dtype=torch.int64), torch.zeros(count, 5, dtype=torch.bool)


@pytest.mark.parametrize("count", [0, 3])
def test_without_a_valid_keypoint_the_loss_is_0_with_a_gradient(count):
    logits = torch.randn(count, 5, 8, 8, requires_grad=True)
    loss = keypoint_loss(logits, *no_targets(count))
    assert loss == 0
    loss.backward()
    assert logits.grad.shape == logits.shape and not logits.grad.any()


def test_no_positives_in_any_image():
    empty = BoxList([], (64, 64))
    empty.add_field("labels", torch.zeros(0, dtype=torch.int64))
    empty.add_field("keypoints", PersonKeypoints([], (64, 64)))
    proposals = BoxList([[0, 0, 20, 20]], (64, 64))
    sampler = ProposalSampler(Matcher(0.5, 0.5), FirstNSampler(4, 0.5))
    matched = sampler.match([proposals, proposals], [empty, empty])
    assert [c.tolist() for c in has_keypoint_target(matched)] == [[False], [False]]
    cells, valid = keypoint_targets(matched[[torch.zeros(0, dtype=torch.int64)] * 2], 56)
    logits = torch.zeros(0, 17, 56, 56, requires_grad=True)
    assert keypoint_loss(logits, cells, valid) == 0
    keypoints, values = heat_maps_to_keypoints(torch.zeros(0, 17, 56, 56), torch.zeros(0, 4))
    assert keypoints.shape == (0, 17, 3) and values.shape == (0, 17)
