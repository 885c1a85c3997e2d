import os
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from maskrcnn_benchmark.layers import (
    PolygonSet,
    SoftNMS,
    _ops,
    batched_nms,
    batched_soft_nms,
    has_extension,
    multilevel_roi_align,
    nms,
    roi_align,
    roi_pool,
)
from tests.layers.conftest import needs_extension, random_rois, use_fallback


def features(dtype: torch.dtype = torch.float32, **options: Any) -> torch.Tensor:
    return torch.randn(2, 3, 11, 13, dtype=dtype, **options)


def pyramid() -> list[torch.Tensor]:
    return [features(requires_grad=True), torch.randn(2, 3, 6, 7, requires_grad=True)]


def levelled_rois() -> tuple[torch.Tensor, torch.Tensor]:
    return random_rois(4, 2), torch.tensor([0, 1, 1, 0])


def channels_last(x: torch.Tensor) -> torch.Tensor:
    return x.detach().contiguous(memory_format=torch.channels_last).requires_grad_()


def operator(name: str) -> Any:
    return getattr(torch.ops.maskrcnn_benchmark, name.split()[0])


def sorted_boxes() -> tuple[torch.Tensor, torch.Tensor]:
    boxes = torch.rand(40, 4) * 30
    boxes[:, 2:] += boxes[:, :2]
    return boxes, torch.arange(40) // 10


def roi_pool_backward_arguments() -> tuple[Any, ...]:
    rois = random_rois(4, 2)
    output, argmax = torch.ops.maskrcnn_benchmark.roi_pool(features(), rois, 0.25, 3, 2)
    return torch.randn_like(output), rois, argmax, 2, 11, 13


CALLS: dict[str, Callable[[], tuple[Any, ...]]] = {
    "nms": lambda: (*sorted_boxes(), 0.5, 1.0, 3),
    "soft_nms": lambda: (
        *(sorted_boxes()[0], torch.linspace(1, 0.2, 40), sorted_boxes()[1]),
        *(True, 0.5, 0.001, 1.0, 5),
    ),
    "match_boxes": lambda: (sorted_boxes()[0][:7], sorted_boxes()[0], 1.0),
    "roi_align": lambda: (pyramid(), *levelled_rois(), [0.25, 0.125], 3, 2, 0, False),
    "roi_align of channels_last": lambda: (
        [channels_last(x) for x in pyramid()],
        *(*levelled_rois(), [0.25, 0.125], 3, 2, 2, True),
    ),
    "roi_align_backward": lambda: (
        torch.randn(4, 3, 3, 2, requires_grad=True),
        *(*levelled_rois(), [0.25, 0.125], 2, True, 2, [11, 6], [13, 7], False),
    ),
    "roi_align_backward of channels_last": lambda: (
        channels_last(torch.randn(4, 3, 3, 2, requires_grad=True)),
        *(*levelled_rois(), [0.25, 0.125], 0, False, 2, [11, 6], [13, 7], True),
    ),
    "roi_pool": lambda: (features(requires_grad=True), random_rois(4, 2), 0.25, 3, 2),
    "roi_pool_backward": roi_pool_backward_arguments,
    "paste_masks": lambda: (torch.rand(4, 7, 7), sorted_boxes()[0][:4], 30, 40, 0.5, 1, False),
    "masks_to_rle": lambda: (torch.rand(4, 7, 7), sorted_boxes()[0][:4], 30, 40, 0.5, 1, True),
    "mask_targets": lambda: (
        *PolygonSet.gather([[np.float32([2, 3, 20, 5, 9, 30])], [np.float32([1, 1, 9, 1, 9, 8])]]),
        *(sorted_boxes()[0][:6], torch.arange(6) % 2, 14, 30, 40),
    ),
}


def test_the_extension_is_built() -> None:
    if os.environ.get(_ops.DISABLING_VARIABLE) == "1":
        pytest.skip("the extension is switched off")
    assert has_extension(), _ops._reason


@needs_extension
@pytest.mark.parametrize("name", CALLS)
def test_opcheck(name: str) -> None:
    torch.library.opcheck(operator(name), CALLS[name]())


@needs_extension
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_opcheck_of_other_dtypes(dtype: torch.dtype) -> None:
    x = features(dtype, requires_grad=True)
    utils = ("test_schema", "test_autograd_registration", "test_faketensor")
    ops, (rois, levels) = torch.ops.maskrcnn_benchmark, levelled_rois()
    maps = [x, torch.randn(2, 3, 6, 7, dtype=dtype)]
    arguments = (maps, rois, levels, [0.25, 0.125], 3, 2, 2, False)
    torch.library.opcheck(ops.roi_align, arguments, test_utils=utils)
    torch.library.opcheck(ops.roi_pool, (x, rois, 0.25, 3, 2), test_utils=utils)


@needs_extension
@pytest.mark.parametrize("name", CALLS)
def test_bits_do_not_depend_on_the_number_of_threads(name: str) -> None:
    def as_tuple(result: Any) -> tuple[torch.Tensor, ...]:
        return (result,) if isinstance(result, torch.Tensor) else tuple(result)

    arguments = CALLS[name]()
    results = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        results.append(as_tuple(operator(name)(*arguments)))
    for one, two in zip(*results, strict=True):
        assert one.equal(two)


@needs_extension
def test_many_regions_give_the_same_bits_on_two_threads() -> None:
    x, rois = torch.randn(2, 32, 25, 30), random_rois(200, 2)
    grads = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        leaf = x.clone().requires_grad_()
        output = roi_align(leaf, rois, 7, 0.25, 2)
        output.square().sum().backward()
        grads.append((output, leaf.grad))
    assert grads[0][0].equal(grads[1][0])
    assert grads[0][1].equal(grads[1][1])


@needs_extension
def test_meta_tensors_give_shapes() -> None:
    x, rois = features(device="meta"), torch.zeros(7, 5, device="meta")
    assert roi_align(x, rois, (3, 2), 0.25, 2).shape == (7, 3, 3, 2)
    assert roi_pool(x, rois, (3, 2), 0.25).shape == (7, 3, 3, 2)
    levels = torch.zeros(7, device="meta", dtype=torch.int64)
    maps = [x, x.contiguous(memory_format=torch.channels_last)]
    for both in (maps, maps[::-1]):
        pooled = multilevel_roi_align(both, rois, levels, (3, 2), [1, 1], sampling_ratio=2)
        assert pooled.shape == (7, 3, 3, 2)
        assert pooled.is_contiguous() == both[0].is_contiguous()
    boxes, groups = torch.zeros(9, 4, device="meta"), torch.zeros(9, device="meta")
    kept = torch.ops.maskrcnn_benchmark.nms(boxes, groups, 0.5, 1.0, 0)
    assert kept.shape == (9,)
    assert kept.dtype == torch.bool
    lowered, kept = torch.ops.maskrcnn_benchmark.soft_nms(
        boxes.half(), boxes[:, 0], groups, True, 0.5, 0.001, 1.0, 0
    )
    assert lowered.shape == kept.shape == (9,)
    assert (lowered.dtype, kept.dtype) == (torch.float32, torch.bool)


@needs_extension
@pytest.mark.parametrize("dynamic", [False, True])
def test_compiled_regions_give_the_same_numbers(dynamic: bool) -> None:
    def network(x: torch.Tensor, rois: torch.Tensor) -> torch.Tensor:
        return roi_align(x * 2, rois, 3, 0.25, 2).sum(1) + roi_pool(x, rois, 3, 0.25).sum(1)

    compiled = torch.compile(network, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    for count in (3, 5):
        x, rois = features(requires_grad=True), random_rois(count, 2)
        expected, output = network(x, rois), compiled(x, rois)
        torch.testing.assert_close(output, expected)
        wanted, got = (torch.autograd.grad(y.square().sum(), x)[0] for y in (expected, output))
        torch.testing.assert_close(got, wanted)


@needs_extension
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_compiled_pyramid_gives_the_same_numbers(layout: Any) -> None:
    def network(maps: list[torch.Tensor], rois: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
        return multilevel_roi_align(maps, rois, levels, 3, [0.25, 0.125], sampling_ratio=2) * 2

    compiled = torch.compile(network, fullgraph=True, backend="aot_eager", dynamic=True)
    for count in (3, 5):
        maps = [x.detach().clone(memory_format=layout).requires_grad_() for x in pyramid()]
        rois, levels = random_rois(count, 2), torch.arange(count) % 2
        expected, output = network(maps, rois, levels), compiled(maps, rois, levels)
        torch.testing.assert_close(output, expected)
        assert output.is_contiguous(memory_format=layout)
        wanted, got = (torch.autograd.grad(y.square().sum(), maps) for y in (expected, output))
        torch.testing.assert_close(got, wanted)


@needs_extension
def test_compiled_nms_gives_the_same_indices() -> None:
    boxes, groups = sorted_boxes()
    scores = torch.rand(40)
    with torch._dynamo.config.patch(capture_dynamic_output_shape_ops=True):
        compiled = torch.compile(batched_nms, fullgraph=True, backend="aot_eager")
        assert compiled(boxes, scores, groups, 0.3).equal(batched_nms(boxes, scores, groups, 0.3))


@needs_extension
def test_compiled_soft_nms_equals_eager() -> None:
    boxes, groups = sorted_boxes()
    scores = torch.rand(40)
    with torch._dynamo.config.patch(capture_dynamic_output_shape_ops=True):
        compiled = torch.compile(batched_soft_nms, fullgraph=True, backend="aot_eager")
        kept, lowered = compiled(boxes, scores, groups, SoftNMS("gaussian"))
    expected_kept, expected = batched_soft_nms(boxes, scores, groups, SoftNMS("gaussian"))
    assert kept.equal(expected_kept)
    assert lowered.equal(expected)


@needs_extension
def test_fallback_equals_the_extension(monkeypatch: pytest.MonkeyPatch) -> None:
    x, rois = features(), random_rois(20, 2)
    boxes, groups = sorted_boxes()
    scores = torch.rand(40)

    def results() -> list[torch.Tensor]:
        leaves = [x.clone().requires_grad_() for _ in range(3)]
        outputs = [
            roi_align(leaves[0], rois, 7, 0.25, 0),
            roi_align(leaves[1], rois, 7, 0.25, 2, aligned=True),
            roi_pool(leaves[2], rois, 7, 0.25),
        ]
        for output in outputs:
            output.square().sum().backward()
        return [*outputs, *(leaf.grad for leaf in leaves)]

    ours, ours_kept = results(), batched_nms(boxes, scores, groups, 0.3)
    use_fallback(monkeypatch)
    for one, other in zip(ours, results(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    assert batched_nms(boxes, scores, groups, 0.3).equal(ours_kept)


@needs_extension
def test_operators_called_directly_check_their_arguments() -> None:
    ops = torch.ops.maskrcnn_benchmark
    groups = torch.zeros(3, dtype=torch.int64)
    with pytest.raises(RuntimeError, match=r"nms: expected boxes \[N, 4\], got \[3, 5\]"):
        ops.nms(torch.zeros(3, 5), groups, 0.5, 1.0, 0)
    with pytest.raises(RuntimeError, match=r"nms: expected groups \[2\], got \[3\]"):
        ops.nms(torch.zeros(2, 4), groups, 0.5, 1.0, 0)
    with pytest.raises(RuntimeError, match=r"nms: expected max_keep >= 0 .*, got -1"):
        ops.nms(torch.zeros(3, 4), groups, 0.5, 1.0, -1)
    with pytest.raises(RuntimeError, match=r"nms: expected threshold to be a number, got nan"):
        ops.nms(torch.zeros(3, 4), groups, float("nan"), 1.0, 0)
    with pytest.raises(RuntimeError, match=r"soft_nms: expected scores \[3\], got \[2\]"):
        ops.soft_nms(torch.zeros(3, 4), torch.zeros(2), groups, True, 0.5, 0.0, 1.0, 0)
    with pytest.raises(RuntimeError, match=r"soft_nms: expected max_keep >= 0 .*, got -2"):
        ops.soft_nms(torch.zeros(3, 4), torch.zeros(3), groups, True, 0.5, 0.0, 1.0, -2)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("sampling_ratio", [0, 2])
@pytest.mark.parametrize("aligned", [False, True])
def test_diverged_coordinates_give_nan_and_no_gradient(sampling_ratio: int, aligned: bool) -> None:
    for bad in (float("nan"), float("inf"), 1e30):
        for column in range(1, 5):
            x, rois = features(requires_grad=True), torch.tensor([[0.0, 4.0, 4.0, 20.0, 20.0]])
            rois[0, column] = bad
            output = roi_align(x, rois, 2, 0.25, sampling_ratio, aligned=aligned)
            if bad != 1e30 or column > 2:
                assert output.isnan().all()
            output.sum().backward()
            assert x.grad is not None
            assert x.grad.equal(torch.zeros_like(x))


@needs_extension
def test_the_gradient_of_roi_pool_refuses_another_derivative() -> None:
    x = features(requires_grad=True)
    (grad,) = torch.autograd.grad(
        roi_pool(x, random_rois(3, 2), 2, 0.25).square().sum(), x, create_graph=True
    )
    with pytest.raises(RuntimeError, match="roi_pool: its gradient cannot be differentiated"):
        grad.sum().backward()


def test_autocast_leaves_the_dtype_of_the_features() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert roi_align(features(), random_rois(3, 2), 2, 0.25, 2).dtype == torch.float32
        pooled = roi_align(features(torch.bfloat16), random_rois(3, 2), 2, 0.25, 2)
    assert pooled.dtype == torch.bfloat16


def test_an_extension_of_an_older_version_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(_ops.DISABLING_VARIABLE, raising=False)
    monkeypatch.setattr(_ops, "importlib", SimpleNamespace(import_module=lambda _: None))
    monkeypatch.setitem(_ops._FAKES, "an_operator_of_tomorrow", _ops._fake_nms)
    devices, reason = _ops._load_extension()
    assert devices == frozenset()
    assert "outdated: it lacks an_operator_of_tomorrow" in reason


def test_without_the_extension_there_is_one_warning() -> None:
    code = (
        "import torch, warnings\n"
        "from maskrcnn_benchmark import layers\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    for _ in range(3):\n"
        "        print(layers.nms(torch.zeros(2, 4), torch.rand(2), 0.5).shape)\n"
        "        layers.roi_pool(torch.zeros(1, 1, 4, 4), torch.zeros(1, 5), 2, 1.0)\n"
        "print(layers.has_extension(), len(caught), caught[0].message)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, _ops.DISABLING_VARIABLE: "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "torch.Size([1])" in done.stdout
    assert "False 1 maskrcnn_benchmark uses torchvision's operators" in done.stdout


def test_another_device_without_kernels_uses_the_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ops, "_served_devices", frozenset({"cuda"}))
    _ops._warn_once.cache_clear()
    with pytest.warns(RuntimeWarning, match="torchvision's operators"):
        assert nms(torch.zeros(2, 4), torch.rand(2), 0.5).shape == (1,)


def test_deterministic_algorithms_keep_gradients_off_our_atomic_additions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_ops, "_served_devices", frozenset({"cpu", "cuda"}))
    on_cpu: Any = SimpleNamespace(device=torch.device("cpu"))
    on_cuda: Any = SimpleNamespace(device=torch.device("cuda"))
    assert _ops.serves(on_cuda, gradient_in_any_order=True)
    torch.use_deterministic_algorithms(True)
    try:
        assert not _ops.serves(on_cuda, gradient_in_any_order=True)
        assert _ops.serves(on_cuda)  # nms
        assert _ops.serves(on_cpu, gradient_in_any_order=True)  # adds in one order
    finally:
        torch.use_deterministic_algorithms(False)
