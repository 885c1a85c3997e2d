"""Runs a test with the compiled operators and with torchvision's in their place."""

from collections.abc import Callable

import pytest
import torch

from maskrcnn_benchmark.layers import _ops, has_extension

needs_extension = pytest.mark.skipif(not has_extension(), reason="the extension is not built")


def use_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the package work as if the extension were not there."""
    monkeypatch.setattr(_ops, "_served_devices", frozenset())
    monkeypatch.setattr(_ops, "_warn_once", lambda: None)


@pytest.fixture(params=["extension", "fallback"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of the implementation that the layers use in this test."""
    if request.param == "fallback":
        use_fallback(monkeypatch)
    elif not has_extension():
        pytest.skip("the extension is not built")
    return request.param


def random_rois(count: int, images: int, size: float = 70.0) -> torch.Tensor:
    """Regions [K, 5]: some beyond the image, some less than a pixel, one reversed."""
    rois = torch.rand(count, 5) * (size + 20) - 10
    rois[:, 3:] = rois[:, 1:3] + torch.rand(count, 2) * size * 0.7
    rois[: count // 5, 3:] = rois[: count // 5, 1:3] + 0.3
    if count:
        rois[-1, 1:] = torch.tensor([30.0, 30.0, 20.0, 25.0])
    rois[:, 0] = torch.arange(count) % images
    return rois


def host_backends(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test of an operator that has no CUDA kernel with the extension and the fallback."""
    both = pytest.mark.parametrize("backend", ["extension", "fallback"], indirect=True)
    return pytest.mark.usefixtures("backend")(both(test))
