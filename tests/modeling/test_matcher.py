"""Matching by the operator and in chunks: the same matches, bounded memory."""

import pytest
import torch

from maskrcnn_benchmark.layers import has_extension
from maskrcnn_benchmark.modeling import matcher as matcher_module
from maskrcnn_benchmark.modeling.box_coder import BoxCoder
from maskrcnn_benchmark.modeling.matcher import MAX_PAIRS, Matcher
from maskrcnn_benchmark.modeling.rpn.anchor_generator import AnchorGenerator
from maskrcnn_benchmark.modeling.rpn.loss import anchor_targets
from maskrcnn_benchmark.structures.box_ops import box_iou
from tests.helpers.largest_tensor import LargestTensor


@pytest.fixture(params=["operator", "torch"], autouse=True)
def way(request, monkeypatch):
    """Match with the compiled operator, and as where there is none."""
    available = has_extension() and request.param == "operator"
    monkeypatch.setattr(matcher_module, "has_extension", lambda: available)


def random_boxes(count, size=300.0):
    corner = torch.rand(count, 2) * size
    return torch.cat([corner, corner + torch.rand(count, 2) * 60], dim=1)


def slow_matches(matcher, iou):
    """Direct implementation of the rule: thresholds, then ties for the best of each object."""
    result = []
    for column in iou.T.tolist():
        best = max(column)
        if best >= matcher.high_threshold:
            result.append(column.index(best))
        else:
            result.append(-1 if best < matcher.low_threshold else -2)
    if matcher.allow_low_quality_matches:
        for row in iou.tolist():
            for number, value in enumerate(row):
                if value == max(row):
                    column = iou[:, number].tolist()
                    result[number] = column.index(max(column))
    return result


def test_a_quality_at_a_threshold_belongs_above_it():
    quality = torch.tensor([[0.75, 0.74, 0.25, 0.24]])
    assert Matcher(0.75, 0.25)(quality).tolist() == [0, -2, -2, -1]


@pytest.mark.parametrize("forced", [False, True])
@pytest.mark.parametrize("offset", [0.0, 1.0])
@pytest.mark.parametrize("max_pairs", [1, 130, 10**6])
def test_chunks_match_as_the_whole(forced, offset, max_pairs):
    gt, boxes = random_boxes(13), random_boxes(90)
    gt[3] = torch.tensor([1000.0, 1000.0, 1010.0, 1010.0])  # overlaps nothing
    gt[7] = gt[6]  # a tie between ground truths
    boxes[50:52] = boxes[10:12]  # ties between boxes of different chunks
    gt[8] = boxes[10] + 1
    matcher = Matcher(0.5, 0.3, forced)
    expected = slow_matches(matcher, box_iou(gt, boxes, offset))
    assert matcher(box_iou(gt, boxes, offset)).tolist() == expected
    assert matcher.match_boxes(gt, boxes, offset, max_pairs=max_pairs).tolist() == expected


@pytest.mark.parametrize("max_pairs", [1, 10**6])
def test_nothing_to_match(max_pairs):
    matcher, boxes, nothing = Matcher(0.5, 0.3, True), random_boxes(5), torch.zeros(0, 4)
    matches = matcher.match_boxes(nothing, boxes, 1.0, max_pairs=max_pairs)
    assert matches.tolist() == [-1] * 5
    assert matches.dtype == torch.int64
    assert matcher.match_boxes(boxes, nothing, 1.0, max_pairs=max_pairs).shape == (0,)
    assert matcher.match_boxes(nothing, nothing, 1.0, max_pairs=max_pairs).shape == (0,)


def test_an_image_with_500_objects_needs_no_matrix_of_all_anchors():
    torch.set_num_threads(1)
    anchors = torch.cat(
        AnchorGenerator((32, 64, 128, 256, 512), anchor_strides=(4, 8, 16, 32, 64))(
            [torch.zeros(1, 1, 320 // stride, 320 // stride) for stride in (4, 8, 16, 32, 64)]
        )
    )
    gt = random_boxes(500, size=260.0)
    whole = len(gt) * len(anchors) * 4
    visible = torch.ones(len(anchors), dtype=torch.bool)
    with LargestTensor() as largest:
        labels, _ = anchor_targets(
            anchors,
            visible,
            gt,
            matcher=Matcher(0.7, 0.3, allow_low_quality_matches=True),
            box_coder=BoxCoder((1.0, 1.0, 1.0, 1.0)),
        )
    assert largest.bytes <= 4 * MAX_PAIRS < whole / 3
    assert (labels == 1).sum() >= 300


@pytest.mark.parametrize("forced", [False, True])
@pytest.mark.parametrize("max_pairs", [1, 10**6])
def test_nan_never_matches(forced, max_pairs):
    """NaN boxes, and empty continuous boxes; the others match as without them."""
    nan, empty = torch.full((1, 4), torch.nan), torch.tensor([[5.0, 5.0, 5.0, 5.0]])
    gt, boxes = random_boxes(6), random_boxes(40)
    boxes[:6] = gt
    matcher = Matcher(0.5, 0.3, forced)
    expected = matcher.match_boxes(gt, boxes, 0.0).tolist()
    assert max(expected) == 5
    spoiled = torch.cat([boxes, nan, empty])
    got = matcher.match_boxes(gt, spoiled, 0.0, max_pairs=max_pairs).tolist()
    assert got == [*expected, -1, -1]
    got = matcher.match_boxes(torch.cat([nan, gt]), spoiled, 0.0, max_pairs=max_pairs).tolist()
    assert got == [index + 1 if index >= 0 else index for index in expected] + [-1, -1]
    assert matcher.match_boxes(empty, empty, 0.0, max_pairs=max_pairs).tolist() == [-1]
    assert matcher(torch.full((2, 3), torch.nan)).tolist() == [-1] * 3
