"""The operator `match_boxes` against the matrix of all IoUs, to the bit."""

import pytest
import torch

from maskrcnn_benchmark.layers import has_extension
from maskrcnn_benchmark.structures.box_ops import box_iou

pytestmark = pytest.mark.skipif(not has_extension(), reason="needs the extension")


def match(*arguments):
    return torch.ops.maskrcnn_benchmark.match_boxes(*arguments)


@pytest.mark.parametrize("offset", [0.0, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("objects", "count"), [(1, 1), (3, 255), (40, 257), (20, 1100)])
def test_equals_the_matrix(objects, count, dtype, offset):
    """Counts at both sides of a block, ties, boxes that overlap nothing, NaN and infinity."""
    corner = torch.rand(objects + count, 2, dtype=dtype) * 300
    boxes = torch.cat([corner, corner + torch.rand(objects + count, 2, dtype=dtype) * 60], dim=1)
    gt, boxes = boxes[:objects], boxes[objects:]
    if objects > 1:
        gt[1] = 1000
        boxes[-1], boxes[3] = gt[-1], gt[-1]
        boxes[5], boxes[6, 0], boxes[7, 2] = torch.nan, torch.inf, -torch.inf
    quality = box_iou(gt, boxes, offset)
    quality = quality.masked_fill(quality.isnan(), -torch.inf)
    best, best_gt, is_best = match(gt, boxes, offset)
    expected, expected_gt = quality.max(dim=0)
    assert best.equal(expected) and best_gt.equal(expected_gt)
    highest = quality.max(dim=1).values[:, None]
    assert is_best.equal(((quality == highest) & (quality > -torch.inf)).any(dim=0))


def test_wrong_arguments():
    boxes = torch.zeros(3, 4)
    for gt, message in (
        (torch.zeros(0, 4), r"expected gt_boxes \[G, 4\] with G > 0, got \[0, 4\]"),
        (boxes.double(), "expected gt_boxes of Float, got Double"),
        (torch.zeros(2, 5), r"expected gt_boxes .*, got \[2, 5\]"),
    ):
        with pytest.raises(RuntimeError, match=f"match_boxes: {message}"):
            match(gt, boxes, 1.0)
    with pytest.raises(RuntimeError, match=r"match_boxes: expected boxes \[N, 4\], got \[4\]"):
        match(boxes, boxes[:, 0].new_zeros(4), 1.0)
