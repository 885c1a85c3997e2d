"""Runs a test with each implementation of the operators.

``extension`` is the compiled CPU kernels, ``fallback`` torchvision and torch code,
``emulated_cuda`` the CUDA kernels compiled for the host, and ``cuda`` the same kernels on a GPU.
"""

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils._pytree import tree_map_only

from maskrcnn_benchmark.layers import _ops, has_extension
from tests.helpers import csrc_builds

needs_extension = pytest.mark.skipif(not has_extension(), reason="the extension is not built")
needs_compiler = pytest.mark.skipif(not csrc_builds.has_compiler(), reason="no C++ compiler")
on_gpu = [
    pytest.mark.cuda,
    pytest.mark.skipif(
        not (torch.cuda.is_available() and has_extension("cuda")), reason="no GPU, or a CPU build"
    ),
]


def use_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the package behave as if the extension were not built."""
    monkeypatch.setattr(_ops, "_served_devices", frozenset())
    monkeypatch.setattr(_ops, "_warn_once", lambda: None)


@functools.cache
def emulated_operators() -> Any:
    """Return the operators of the CUDA kernels that are compiled for the host."""
    torch.ops.load_library(csrc_builds.build("emulated"))
    _ops._register("maskrcnn_benchmark_emulated")
    return torch.ops.maskrcnn_benchmark_emulated


class OperatorsOn:
    """The operators of the extension, which move their arguments to a device and back."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._operators = torch.ops.maskrcnn_benchmark

    def __getattr__(self, name: str) -> Callable[..., Any]:
        operator = getattr(self._operators, name)

        def call(*arguments: Any, **options: Any) -> Any:
            home = next(a.device for a in arguments if isinstance(a, torch.Tensor))
            given = tree_map_only(torch.Tensor, lambda t: t.to(self._device), (arguments, options))
            return tree_map_only(
                torch.Tensor, lambda t: t.to(home), operator(*given[0], **given[1])
            )

        return call


@pytest.fixture(
    params=[
        "extension",
        "fallback",
        pytest.param("emulated_cuda", marks=needs_compiler),
        pytest.param("cuda", marks=on_gpu),
    ]
)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of the implementation that the layers use in this test."""
    if request.param == "fallback":
        use_fallback(monkeypatch)
    elif request.param == "emulated_cuda":
        monkeypatch.setattr(torch.ops, "maskrcnn_benchmark", emulated_operators())
        monkeypatch.setattr(_ops, "_served_devices", frozenset({"cpu"}))
    elif request.param == "cuda":
        monkeypatch.setattr(torch.ops, "maskrcnn_benchmark", OperatorsOn("cuda"))
    elif not has_extension():
        pytest.skip("the extension is not built")
    return request.param


def random_rois(count: int, images: int, size: float = 70.0) -> torch.Tensor:
    """Return regions [R, 5]: some outside the image, some below a pixel, one reversed."""
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
