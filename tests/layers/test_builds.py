"""Other builds of csrc: CUDA kernels for the host, kernels for one vector width."""

from typing import Any

import pytest
import torch

from maskrcnn_benchmark.layers import _ops
from tests.helpers import csrc_builds
from tests.layers.conftest import emulated_operators, needs_compiler, needs_extension, random_rois
from tests.layers.test_ops import CALLS, operator

EMULATED = "maskrcnn_benchmark_emulated"


EMULATED_CALLS = [name for name in CALLS if name.split()[0] in csrc_builds.operators_on_gpu()]


@needs_compiler
@pytest.mark.parametrize("name", EMULATED_CALLS)
def test_opcheck_of_emulated_cuda(name: str) -> None:
    emulated = emulated_operators()
    torch.library.opcheck(getattr(emulated, name.split()[0]), CALLS[name]())


@needs_compiler
def test_emulated_cuda_has_every_operator_and_no_kernel_for_a_gpu() -> None:
    emulated_operators()
    has_kernel = torch._C._dispatch_has_kernel_for_dispatch_key
    for name in _ops._FAKES.keys() & csrc_builds.operators_on_gpu():
        assert has_kernel(f"{EMULATED}::{name}", "CPU"), name
        assert not has_kernel(f"{EMULATED}::{name}", "CUDA"), name


def as_tuple(result: Any) -> tuple[torch.Tensor, ...]:
    return (result,) if isinstance(result, torch.Tensor) else tuple(result)


def large_calls() -> dict[str, tuple[Any, ...]]:
    """Return operator arguments that fill vectors and leave a remainder."""
    boxes = torch.rand(1003, 4) * 60
    boxes[:, 2:] += boxes[:, :2] / 2
    groups, scores = torch.arange(1003) // 501, torch.linspace(1, 0, 1003)
    features, rois = torch.randn(2, 19, 23, 37), random_rois(50, 2)
    replaced = {
        **{"boxes": boxes, "groups": groups, "scores": scores},
        **{"input": features, "rois": rois, "grad": torch.randn(50, 19, 3, 2)},
        **{"features": [features, torch.randn(2, 19, 12, 19)], "levels": torch.arange(50) % 2},
        **{"masks": torch.rand(1003, 7, 7), "matched": torch.arange(1003) % 2},
    }
    calls = {}
    for name in CALLS:
        schema = operator(name).default._schema
        names = [argument.name for argument in schema.arguments]
        given = dict(zip(names, CALLS[name](), strict=False))
        if "argmax" not in given:
            calls[name] = tuple(replaced.get(key, value) for key, value in given.items())
    return calls


@needs_extension
@needs_compiler
@pytest.mark.parametrize("width", ["baseline", pytest.param("avx2", marks=pytest.mark.slow)])
def test_bits_do_not_depend_on_the_width_of_vectors(width: str) -> None:
    """The extension uses the widest vectors of this CPU; the others must round equally."""
    if width == "avx2" and torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"):
        pytest.skip("this CPU has no AVX2")
    torch.ops.load_library(csrc_builds.build(width))
    operators = getattr(torch.ops, f"maskrcnn_benchmark_{width}")
    calls = [(name, CALLS[name]()) for name in CALLS]
    for name, arguments in [*calls, *large_calls().items()]:
        expected = as_tuple(operator(name)(*arguments))
        with torch.no_grad():
            results = as_tuple(getattr(operators, name.split()[0])(*arguments))
        for result, wanted in zip(results, expected, strict=True):
            assert result.equal(wanted), name
