import time

import numpy as np
import pytest
import torch
import torchvision

from maskrcnn_benchmark.layers import ROIAlign, roi_align
from tests.helpers import ops_oracles
from tests.helpers.vectors import load_vector
from tests.layers.conftest import random_rois

pytestmark = pytest.mark.usefixtures("backend")
META, ARRAYS = load_vector("roi_align")


@pytest.mark.parametrize("config", META["arguments"]["configs"], ids=lambda c: c["key"])
def test_recorded(config: dict) -> None:
    pool = ROIAlign(tuple(config["output_size"]), config["spatial_scale"], config["sampling_ratio"])
    output = pool(torch.from_numpy(ARRAYS["features"]), torch.from_numpy(ARRAYS["rois"]))
    np.testing.assert_allclose(output, ARRAYS[config["key"]], rtol=1e-5, atol=1e-6)


def test_recorded_gradient() -> None:
    features = torch.from_numpy(ARRAYS["features"]).requires_grad_()
    output = roi_align(features, torch.from_numpy(ARRAYS["rois"]), 7, 1 / 8, 2)
    output.backward(torch.from_numpy(ARRAYS["grad_output"]))
    np.testing.assert_allclose(features.grad, ARRAYS["grad_input"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("sampling_ratio", [0, 1, 3])
def test_oracle_and_torchvision(sampling_ratio: int, aligned: bool) -> None:
    features, rois = torch.randn(2, 3, 17, 23), random_rois(12, 2)
    output = roi_align(features, rois, (4, 3), 0.25, sampling_ratio, aligned=aligned)
    theirs = torchvision.ops.roi_align(features, rois, (4, 3), 0.25, sampling_ratio, aligned)
    torch.testing.assert_close(output, theirs, rtol=1e-5, atol=1e-6)
    oracle = ops_oracles.roi_align(
        features.numpy(), rois.numpy(), (4, 3), 0.25, sampling_ratio, aligned
    )
    np.testing.assert_allclose(output, oracle, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("sampling_ratio", [0, 2])
def test_gradient(backend: str, sampling_ratio: int, aligned: bool) -> None:
    features = torch.randn(2, 1, 4, 5, dtype=torch.float64, requires_grad=True)
    rois = random_rois(4, 2, size=16).double()

    def pool(features: torch.Tensor) -> torch.Tensor:
        return roi_align(features, rois, (2, 1), 0.25, sampling_ratio, aligned=aligned)

    assert torch.autograd.gradcheck(pool, features)
    if backend == "extension":
        assert torch.autograd.gradgradcheck(pool, features)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_is_summed_in_float(dtype: torch.dtype) -> None:
    rois = random_rois(9, 2)
    half = torch.randn(2, 3, 17, 23).to(dtype).requires_grad_()
    full = half.detach().float().requires_grad_()
    grad = torch.randn(9, 3, 5, 5).to(dtype)
    output, expected = (roi_align(x, rois, 5, 0.25, 2) for x in (half, full))
    assert output.dtype == dtype
    assert output.equal(expected.to(dtype))  # rounded once, at the end
    output.backward(grad)
    expected.backward(grad.float())
    assert half.grad is not None
    assert full.grad is not None
    assert half.grad.dtype == dtype
    assert half.grad.equal(full.grad.to(dtype))


def test_rois_keep_their_precision_with_half_features() -> None:
    features = torch.arange(400.0).reshape(1, 1, 1, 400).bfloat16().expand(1, 1, 400, 400)
    rois = torch.tensor([[0.0, 301.0, 301.0, 303.0, 303.0]])  # bfloat16 has no 301 and no 303
    expected = roi_align(features.float(), rois, 1, 1.0, 2)
    assert roi_align(features, rois, 1, 1.0, 2).equal(expected.bfloat16())


@pytest.mark.parametrize(("images", "channels", "rois"), [(2, 3, 0), (0, 3, 0), (1, 0, 2)])
def test_empty(images: int, channels: int, rois: int) -> None:
    features = torch.randn(images, channels, 8, 8, requires_grad=True)
    output = roi_align(features, random_rois(rois, max(images, 1)), (7, 5), 0.25, 0)
    assert output.shape == (rois, channels, 7, 5)
    output.sum().backward()
    assert features.grad is not None
    assert features.grad.equal(torch.zeros_like(features))


def test_non_contiguous() -> None:
    features, rois = torch.randn(2, 4, 9, 11), random_rois(6, 2)
    grad = torch.randn(6, 3, 3, 4).permute(0, 3, 1, 2)
    results = []
    for layout in (torch.contiguous_format, torch.channels_last):
        leaf = features.clone(memory_format=layout).requires_grad_()
        output = roi_align(leaf, torch.cat([rois, rois], 1)[:, :5], 3, 0.25, 2)
        output.backward(grad)
        results.append((output, leaf.grad))
    assert results[0][0].equal(results[1][0])
    assert results[0][1].equal(results[1][1])


def test_region_outside_the_map_is_zero() -> None:
    rois = torch.tensor([[0.0, 500.0, 500.0, 600.0, 600.0], [0.0, -99.0, -99.0, -50.0, -50.0]])
    assert roi_align(torch.ones(1, 1, 8, 8), rois, 2, 0.25, 2).equal(torch.zeros(2, 1, 2, 2))


def mean_on_axis(start: float, bin_size: float, bins: int, size: int) -> np.ndarray:
    """Return the weight of each cell of an axis in each bin mean, sample by sample."""
    shares = np.zeros((bins, size))
    count = int(np.ceil(bin_size))
    for index in range(bins):
        for position in start + (index + (np.arange(count) + 0.5) / count) * bin_size:
            if -1 <= position <= size:
                position = min(max(position, 0), size - 1)
                low = int(position)
                shares[index, low] += (1 - (position - low)) / count
                if low + 1 < size:
                    shares[index, low + 1] += (position - low) / count
    return shares


FAR = [
    [0.0, -3000.0, -40.0, 5000.0, 20.0],
    [1.0, 5.0, 6.0, 15.0, 8000.0],
    [1.0, -900.5, -7000.25, 60.0, 30.75],
    [0.0, 2.0, 3.0, 9.0, 8.0],
]


@pytest.mark.parametrize("aligned", [False, True])
def test_regions_that_reach_far_out(aligned: bool) -> None:
    """The grid of samples is separable: its mean is a product of means of the axes."""
    features = torch.randn(2, 3, 9, 7, dtype=torch.float64, requires_grad=True)
    rois = torch.tensor(FAR, dtype=torch.float64)
    output = roi_align(features, rois, (2, 3), 0.5, 0, aligned=aligned)
    weights = torch.randn_like(output)
    output.backward(weights)
    expected, gradient = np.zeros(output.shape), np.zeros(features.shape)
    for row, (image, *corners) in enumerate(FAR):
        x1, y1, x2, y2 = (0.5 * c - 0.5 * aligned for c in corners)
        ys = mean_on_axis(y1, (y2 - y1) / 2, 2, 9)
        xs = mean_on_axis(x1, (x2 - x1) / 3, 3, 7)
        plane = features.detach()[int(image)].numpy()
        expected[row] = np.einsum("py,cyx,qx->cpq", ys, plane, xs)
        gradient[int(image)] += np.einsum("py,cpq,qx->cyx", ys, weights[row].numpy(), xs)
    np.testing.assert_allclose(output.detach(), expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(features.grad, gradient, rtol=1e-9, atol=1e-12)


def test_regions_that_reach_far_out_take_time_by_the_size_of_the_map() -> None:
    """Evaluating a billion samples per bin would take minutes or exhaust the memory."""
    features = torch.ones(1, 1024, 64, 64)
    rois = torch.tensor([[0.0, -16000.0, -16000.0, 16000.0, 16000.0]])
    began = time.process_time()
    output = roi_align(features, rois, 1, 1.0, 0)
    assert time.process_time() - began < 2
    share = 65 / 32000  # one cell a sample, and half a cell more than the map on either side
    torch.testing.assert_close(output, torch.full_like(output, share**2), rtol=0.02, atol=0)


def test_output_size_is_a_number_or_a_pair() -> None:
    features, rois = torch.randn(1, 1, 8, 8), random_rois(3, 1)
    pooled = ROIAlign(3, 0.5, 2)(features, rois)
    assert pooled.equal(ROIAlign((3, 3), 0.5, 2)(features, rois))
    assert "output_size=(3, 3)" in repr(ROIAlign(3, 0.5, 2))
    with pytest.raises(ValueError, match="ROIAlign: expected output_size > 0 .*got 0"):
        ROIAlign(0, 0.5, 2)


@pytest.mark.parametrize(
    ("features", "rois", "message"),
    [
        (torch.zeros(3, 8, 8), torch.zeros(1, 5), r"input \[N, C, H, W\], got \[3, 8, 8\]"),
        (torch.zeros(1, 3, 0, 8), torch.zeros(1, 5), r"H, W > 0, got \[1, 3, 0, 8\]"),
        (torch.zeros(1, 3, 8, 8), torch.zeros(2, 4), r"rois \[R, 5\], got \[2, 4\]"),
        (torch.zeros(1, 3, 8, 8), torch.zeros(2, 5).int(), "floating type, got torch.int32"),
        (torch.zeros(1, 3, 8, 8), torch.zeros(2, 5, device="meta"), "rois on cpu, got meta"),
        (torch.zeros(1, 3, 8, 8).long(), torch.zeros(2, 5), "input of a floating type"),
    ],
)
def test_errors(features: torch.Tensor, rois: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=f"^roi_align: expected .*{message}"):
        roi_align(features, rois, 7, 0.25, 2)
