import numpy as np
import pytest
import torch

from maskrcnn_benchmark.layers import ROIPool, roi_pool
from tests.helpers import ops_oracles
from tests.helpers.vectors import load_vector
from tests.layers.conftest import needs_extension, random_rois

pytestmark = pytest.mark.usefixtures("backend")
META, ARRAYS = load_vector("roi_pool")


@pytest.mark.parametrize("config", META["arguments"]["configs"], ids=lambda c: c["key"])
def test_recorded(config: dict) -> None:
    features, rois = (torch.from_numpy(ARRAYS[name]) for name in ("features", "rois"))
    pool = ROIPool(tuple(config["output_size"]), config["spatial_scale"])
    np.testing.assert_array_equal(pool(features, rois), ARRAYS[f"out_{config['key']}"])


@needs_extension
@pytest.mark.parametrize("config", META["arguments"]["configs"], ids=lambda c: c["key"])
def test_recorded_positions(config: dict) -> None:
    features, rois = (torch.from_numpy(ARRAYS[name]) for name in ("features", "rois"))
    _, argmax = torch.ops.maskrcnn_benchmark.roi_pool(
        features, rois, config["spatial_scale"], *config["output_size"]
    )
    np.testing.assert_array_equal(argmax, ARRAYS[f"argmax_{config['key']}"])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_oracle(dtype: torch.dtype) -> None:
    features, rois = torch.randn(2, 3, 17, 23).to(dtype), random_rois(14, 2)
    oracle = ops_oracles.roi_pool(features.double().numpy(), rois.numpy(), (4, 3), 0.25)
    output = roi_pool(features, rois, (4, 3), 0.25)
    assert output.dtype == dtype
    np.testing.assert_array_equal(output.double(), oracle)


def test_gradient() -> None:
    # distinct values, far enough apart that a step of gradcheck changes no maximum
    values = torch.randperm(2 * 4 * 5, dtype=torch.float64).reshape(2, 1, 4, 5)
    rois = random_rois(4, 2, size=16).double()
    assert torch.autograd.gradcheck(
        lambda x: roi_pool(x, rois, (2, 3), 0.25), values.requires_grad_()
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_gradient_is_summed_in_float(dtype: torch.dtype) -> None:
    rois = random_rois(9, 2)
    half = torch.randn(2, 3, 17, 23).to(dtype).requires_grad_()
    full = half.detach().float().requires_grad_()
    grad = torch.randn(9, 3, 5, 5).to(dtype)
    roi_pool(half, rois, 5, 0.25).backward(grad)
    roi_pool(full, rois, 5, 0.25).backward(grad.float())
    assert half.grad is not None
    assert full.grad is not None
    assert half.grad.equal(full.grad.to(dtype))


def test_the_first_maximum_gets_the_gradient() -> None:
    features = torch.zeros(1, 1, 4, 4, requires_grad=True)
    roi_pool(features, torch.tensor([[0.0, 0.0, 0.0, 3.0, 3.0]]), 1, 1.0).backward()
    expected = torch.zeros(1, 1, 4, 4)
    expected[0, 0, 0, 0] = 1
    assert features.grad is not None
    assert features.grad.equal(expected)


@pytest.mark.parametrize(("images", "channels", "rois"), [(2, 3, 0), (0, 3, 0), (1, 0, 2)])
def test_empty(images: int, channels: int, rois: int) -> None:
    features = torch.randn(images, channels, 8, 8, requires_grad=True)
    output = roi_pool(features, random_rois(rois, max(images, 1)), (7, 5), 0.25)
    assert output.shape == (rois, channels, 7, 5)
    output.sum().backward()
    assert features.grad is not None
    assert features.grad.equal(torch.zeros_like(features))


def test_non_contiguous() -> None:
    features, rois = torch.randn(2, 4, 9, 11), random_rois(6, 2)
    expected = roi_pool(features, rois, 3, 0.25)
    last = features.contiguous(memory_format=torch.channels_last)
    assert roi_pool(last, rois.t().contiguous().t(), 3, 0.25).equal(expected)


@pytest.mark.parametrize(
    ("features", "rois", "message"),
    [
        (torch.zeros(3, 8, 8), torch.zeros(1, 5), r"input \[N, C, H, W\], got \[3, 8, 8\]"),
        (torch.zeros(1, 3, 8, 8), torch.zeros(2, 4), r"rois \[R, 5\], got \[2, 4\]"),
        (torch.zeros(1, 3, 8, 8), torch.zeros(2, 5, device="meta"), "rois on cpu, got meta"),
    ],
)
def test_errors(features: torch.Tensor, rois: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=f"^roi_pool: expected {message}"):
        roi_pool(features, rois, 7, 0.25)
