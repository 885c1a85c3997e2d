"""Equal results on a GPU; requires one and an extension built for CUDA."""

import pytest
import torch

from maskrcnn_benchmark.layers import (
    SoftNMS,
    batched_nms,
    batched_soft_nms,
    has_extension,
    multilevel_roi_align,
    roi_align,
    roi_pool,
)
from tests.layers.conftest import random_rois

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(
        not (torch.cuda.is_available() and has_extension("cuda")), reason="no GPU, or a CPU build"
    ),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("op", ["align", "aligned", "pool"])
def test_regions(op: str, dtype: torch.dtype) -> None:
    x, rois = torch.randn(2, 5, 40, 50).to(dtype), random_rois(60, 2)
    grad = torch.randn(60, 5, 7, 7).to(dtype)
    results = []
    for device in ("cpu", "cuda"):
        leaf = x.to(device).requires_grad_()
        if op == "pool":
            output = roi_pool(leaf, rois.to(device), 7, 0.5)
        else:
            output = roi_align(leaf, rois.to(device), 7, 0.5, 0, aligned=op == "aligned")
        output.backward(grad.to(device))
        results.append((output.cpu(), leaf.grad.cpu()))
    torch.testing.assert_close(results[1][0], results[0][0])
    tolerance = 1e-4 if dtype in (torch.float32, torch.float64) else 2e-2
    torch.testing.assert_close(results[1][1], results[0][1], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("sampling_ratio", [0, 2])
def test_pyramid(sampling_ratio: int, layout: torch.memory_format) -> None:
    maps = [torch.randn(2, 5, *size) for size in ((40, 50), (20, 25), (10, 13))]
    rois, levels = random_rois(60, 2), torch.arange(60) % 3
    grad = torch.randn(60, 5, 7, 7)
    results = []
    for device in ("cpu", "cuda"):
        leaves = [x.to(device, memory_format=layout).requires_grad_() for x in maps]
        regions = (rois.to(device), levels.to(device), 7, [0.5, 0.25, 0.125])
        output = multilevel_roi_align(leaves, *regions, sampling_ratio=sampling_ratio)
        assert output.is_contiguous(memory_format=layout)
        output.backward(grad.to(device))
        results.append([output.cpu(), *(leaf.grad.cpu() for leaf in leaves)])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-4)


def test_level_that_is_not_in_the_pyramid_is_nan() -> None:
    x, rois = torch.zeros(1, 1, 8, 8).cuda(), torch.zeros(2, 5).cuda()
    levels = torch.tensor([-1, 1]).cuda()
    assert multilevel_roi_align([x], rois, levels, 2, [0.5], sampling_ratio=2).isnan().all()


@pytest.mark.parametrize("max_keep", [0, 50])
@pytest.mark.parametrize("count", [0, 1, 512, 3000])
def test_nms(count: int, max_keep: int) -> None:
    boxes = torch.rand(count, 4) * 300
    boxes[:, 2:] = boxes[:, :2] + torch.rand(count, 2) * 90
    scores, groups = torch.rand(count), torch.arange(count) % 7
    for threshold in (0.05, 0.5, 0.7):
        expected = batched_nms(boxes, scores, groups, threshold, max_keep=max_keep)
        arguments = (tensor.cuda() for tensor in (boxes, scores, groups))
        kept = batched_nms(*arguments, threshold, max_keep=max_keep)
        assert kept.cpu().equal(expected)


@pytest.mark.parametrize("method", ["linear", "gaussian"])
@pytest.mark.parametrize("count", [0, 1, 3000])
def test_soft_nms(count: int, method: str) -> None:
    boxes = torch.rand(count, 4) * 300
    boxes[:, 2:] = boxes[:, :2] + torch.rand(count, 2) * 90
    scores, groups = torch.rand(count), torch.arange(count) % 7
    by_box = []  # the order may differ where scores tie, but each box keeps its own score
    for device in ("cpu", "cuda"):
        inputs = (tensor.to(device) for tensor in (boxes, scores, groups))
        kept, lowered = (t.cpu() for t in batched_soft_nms(*inputs, SoftNMS(method)))
        assert len(kept.unique()) == len(kept)
        assert (lowered.diff() <= 0).all()  # the best first
        by_box.append(torch.zeros(count).index_copy(0, kept, lowered))
    torch.testing.assert_close(by_box[1], by_box[0])


def test_image_that_is_not_in_the_batch_is_nan() -> None:
    rois = torch.tensor([[5.0, 0.0, 0.0, 9.0, 9.0]]).cuda()
    assert roi_align(torch.zeros(2, 1, 8, 8).cuda(), rois, 2, 0.5, 2).isnan().all()
