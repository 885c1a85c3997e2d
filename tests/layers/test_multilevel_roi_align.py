"""All pyramid levels in one call, against the oracle of a single feature map."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maskrcnn_benchmark.layers import multilevel_roi_align, roi_align
from tests.helpers import ops_oracles
from tests.layers.conftest import needs_extension, random_rois

SCALES = [0.5, 0.25, 0.125]
SIZES = [(9, 12), (5, 6), (3, 1)]
FORMATS = [torch.contiguous_format, torch.channels_last]
COORDINATES = st.one_of(
    st.sampled_from([0.0, -1.0, -2.0, 1.0, 23.0, 24.0, -1e30, 4e5, float("nan"), float("inf")]),
    st.floats(-40, 70, width=32),
    st.integers(-8, 300).map(float),
)


def pyramid(dtype: torch.dtype = torch.float64, channels: int = 3) -> list[torch.Tensor]:
    return [torch.randn(2, channels, *size, dtype=dtype) for size in SIZES]


def oracle(
    features: list[torch.Tensor], rois: torch.Tensor, levels: torch.Tensor, *options: Any
) -> np.ndarray:
    """Pool each region separately; ``options``: output_size, sampling_ratio and aligned."""
    size, *rest = options
    rows = [
        ops_oracles.roi_align(
            features[level].numpy(), roi[None].numpy(), size, SCALES[level], *rest
        )
        for roi, level in zip(rois, levels.tolist(), strict=True)
    ]
    return np.concatenate([np.zeros((0, features[0].shape[1], *size)), *rows])


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_property(backend: str, data: st.DataObject) -> None:
    boxes = data.draw(st.lists(st.lists(COORDINATES, min_size=4, max_size=4), max_size=4))
    numbers = data.draw(st.lists(st.integers(0, 1), min_size=len(boxes), max_size=len(boxes)))
    chosen = data.draw(st.lists(st.integers(0, 2), min_size=len(boxes), max_size=len(boxes)))
    size = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    sampling_ratio, aligned = data.draw(st.integers(0, 11)), data.draw(st.booleans())
    torch.set_num_threads(data.draw(st.sampled_from([1, 2])))
    torch.manual_seed(0)
    features = pyramid()
    rois = torch.tensor(
        [[n, *box] for n, box in zip(numbers, boxes, strict=True)], dtype=torch.float64
    ).reshape(-1, 5)
    levels = torch.tensor(chosen, dtype=torch.int64)
    layout = data.draw(st.sampled_from(FORMATS))
    leaves = [x.clone(memory_format=layout).requires_grad_() for x in features]
    if data.draw(st.booleans()):  # not contiguous
        rois, levels = rois.t().contiguous().t(), levels.repeat_interleave(2)[::2]

    options = {"sampling_ratio": sampling_ratio, "aligned": aligned}
    output = multilevel_roi_align(leaves, rois, levels, size, SCALES, **options)
    assert output.is_contiguous(memory_format=layout)
    expected = oracle(features, rois, levels, size, sampling_ratio, aligned)
    np.testing.assert_allclose(output.detach(), expected, rtol=1e-9, atol=1e-9)

    # the gradient is the transpose: <pooled(x), g> = <x, gradient(g)>, for any x
    gradient = torch.randn_like(output)
    gradients = torch.autograd.grad(output, leaves, gradient)
    finite = torch.from_numpy(expected).nan_to_num(nan=0.0)
    wanted = (finite * gradient).sum()
    got = sum((one * x).sum() for one, x in zip(gradients, features, strict=True))
    torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-9)
    if backend != "fallback":  # torchvision copies; leaf.grad would have the leaf's format anyhow
        assert all(one.is_contiguous(memory_format=layout) for one in gradients)


@pytest.mark.parametrize("layout", FORMATS)
@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("sampling_ratio", [0, 2])
def test_gradient(backend: str, layout: Any, sampling_ratio: int, aligned: bool) -> None:
    features = [x.clone(memory_format=layout).requires_grad_() for x in pyramid(channels=2)]
    rois, levels = random_rois(6, 2, size=24).double(), torch.tensor([0, 1, 2, 2, 1, 0])

    def pool(*maps: torch.Tensor) -> torch.Tensor:
        options: Any = {"sampling_ratio": sampling_ratio, "aligned": aligned}
        return multilevel_roi_align(maps, rois, levels, (2, 1), SCALES, **options)

    assert torch.autograd.gradcheck(pool, features)
    if backend == "extension":
        assert torch.autograd.gradgradcheck(pool, features)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_is_summed_in_float(dtype: torch.dtype) -> None:
    rois, levels = random_rois(9, 2), torch.arange(9) % 3
    for layout in FORMATS:
        half = [x.to(dtype, memory_format=layout).requires_grad_() for x in pyramid()]
        full = [x.detach().float().requires_grad_() for x in half]
        output, expected = (
            multilevel_roi_align(maps, rois, levels, 5, SCALES, sampling_ratio=3)
            for maps in (half, full)
        )
        assert output.equal(expected.to(dtype))  # rounded once, at the end
        gradient = torch.randn_like(output)
        output.backward(gradient)
        expected.backward(gradient.float())
        for x, y in zip(half, full, strict=True):
            assert x.grad is not None
            assert y.grad is not None
            assert x.grad.equal(y.grad.to(dtype))


@needs_extension
@pytest.mark.parametrize("sampling_ratio", [0, 2, 3])
@pytest.mark.parametrize("channels", [1, 5, 300])
def test_both_formats_and_one_level_at_a_time_give_the_same_bits(
    channels: int, sampling_ratio: int
) -> None:
    features = [torch.randn(2, channels, *size) for size in [(30, 40), (15, 20), (8, 10)]]
    rois, levels = random_rois(40, 2), torch.arange(40) % 3
    gradient = torch.randn(40, channels, 7, 7)
    results = []
    for layout in FORMATS:
        leaves = [x.clone(memory_format=layout).requires_grad_() for x in features]
        output = multilevel_roi_align(
            leaves, rois, levels, 7, SCALES, sampling_ratio=sampling_ratio
        )
        output.backward(gradient)
        results.append([output, *(leaf.grad for leaf in leaves)])
    for one, other in zip(*results, strict=True):
        assert one.equal(other)
    for level, (x, scale) in enumerate(zip(features, SCALES, strict=True)):
        chosen = levels == level
        alone = x.clone().requires_grad_()
        output = roi_align(alone, rois[chosen], 7, scale, sampling_ratio)
        output.backward(gradient[chosen])
        assert output.equal(results[0][0][chosen])
        assert alone.grad.equal(results[0][1 + level])


@needs_extension
def test_no_copy_of_channels_last() -> None:
    x = torch.randn(1, 64, 80, 80).contiguous(memory_format=torch.channels_last)
    rois = torch.tensor([[0.0, 3.0, 4.0, 30.0, 40.0]])
    with torch.profiler.profile(profile_memory=True) as profile:
        roi_align(x, rois, 7, 1.0, 2)
    allocated = sum(max(e.cpu_memory_usage, 0) for e in profile.events())
    assert allocated < x.nbytes / 4


def test_errors(backend: str) -> None:
    x, rois, levels = pyramid(), random_rois(3, 2), torch.zeros(3, dtype=torch.int64)

    def message(*arguments: Any) -> str:
        with pytest.raises((ValueError, RuntimeError)) as raised:
            multilevel_roi_align(*arguments, sampling_ratio=2)
        assert len(str(raised.value).splitlines()) == 1 or raised.type is RuntimeError
        return str(raised.value).splitlines()[0]

    assert "roi_align: expected 1 to 8 feature maps, got 0" in message([], rois, levels, 7, [])
    assert "1 to 8 feature maps, got 9" in message(x * 3, rois, levels, 7, SCALES * 3)
    assert "a scale for each of 3 feature maps, got [0.5]" in message(x, rois, levels, 7, [0.5])
    for bad in (0.0, -1.0, float("nan"), float("inf")):
        got = message(x, rois, levels, 7, [0.5, bad, 0.25])
        assert f"expected spatial_scales > 0, got [0.5, {bad}, 0.25]" in got
    mixed = [x[0], x[1].float(), x[2]]
    assert "torch.float64, got [2, 3, 5, 6] of torch.float32 at level 1" in message(
        mixed, rois, levels, 7, SCALES
    )
    fewer = [x[0], x[1][:1], x[2]]
    assert "feature maps [2, 3, H, W]" in message(fewer, rois, levels, 7, SCALES)
    assert "expected levels [3], got [2]" in message(x, rois, levels[:2], 7, SCALES)
    assert "levels of torch.int64, got torch.float32" in message(x, rois, levels.float(), 7, SCALES)
    if "cuda" in backend:  # checking the values would synchronize the device
        return
    for level in (-1, 3):
        levels[1] = level
        expected = f"roi_align: expected levels in [0, 3), got {level} in row 1"
        assert expected in message(x, rois, levels, 7, SCALES)
    levels[1], rois[2, 0] = 0, 2
    assert "roi_align: expected rois[:, 0] in [0, 2), got 2 in row 2" in message(
        x, rois, levels, 7, SCALES
    )


@needs_extension
def test_the_operator_called_directly_checks_its_arguments() -> None:
    ops = torch.ops.maskrcnn_benchmark
    x, rois, levels = pyramid(torch.float32), random_rois(4, 2), torch.zeros(4, dtype=torch.int64)
    options = (SCALES, 3, 2, 0, False)
    with pytest.raises(RuntimeError, match=r"roi_align: expected rois \[R, 5\], got \[4, 4\]"):
        ops.roi_align(x, rois[:, :4], levels, *options)
    with pytest.raises(RuntimeError, match="roi_align: expected features of a floating type"):
        ops.roi_align([y.long() for y in x], rois, levels, *options)
    with pytest.raises(RuntimeError, match=r"roi_align: expected output_size > 0, got \(0, 2\)"):
        ops.roi_align(x, rois, levels, SCALES, 0, 2, 0, False)
    with pytest.raises(RuntimeError, match=r"roi_align: expected levels \[4\], got \[3\]"):
        ops.roi_align(x, rois, levels[:3], *options)
    with pytest.raises(RuntimeError, match="roi_align: expected levels of int64, got Int"):
        ops.roi_align(x, rois, levels.int(), *options)
    with pytest.raises(RuntimeError, match="expected a scale for each of 3 feature maps, got 1"):
        ops.roi_align(x, rois, levels, [0.5], 3, 2, 0, False)
    with pytest.raises(RuntimeError, match="expected 1 to 8 feature maps, got 0"):
        ops.roi_align([], rois, levels, [], 3, 2, 0, False)
    with pytest.raises(RuntimeError, match="maps of Float, got Double for number 2"):
        ops.roi_align([*x[:2], x[2].double()], rois, levels, *options)
    with pytest.raises(RuntimeError, match=r"maps \[2, 3, H, W\], got \[1, 3, 5, 6\] for number 1"):
        ops.roi_align([x[0], x[1][:1], x[2]], rois, levels, *options)
    with pytest.raises(RuntimeError, match="expected sampling_ratio <= 32768, got 99999"):
        ops.roi_align(x, rois, levels, SCALES, 3, 2, 99999, False)
    rest: Any = (SCALES, 2, False, 2, [9, 5, 3], [12, 6, 1], False)
    with pytest.raises(RuntimeError, match=r"roi_align_backward: expected grad \[4, C, "):
        ops.roi_align_backward(torch.zeros(5, 3, 2, 2), rois, levels, *rest)
    with pytest.raises(RuntimeError, match="roi_align_backward: expected 3 widths, got 1"):
        ops.roi_align_backward(torch.zeros(4, 3, 2, 2), rois, levels, *rest[:5], [12], False)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("box", [[0.0, 0.0, -2.0, 1.0], [0.0, 5.0, 9.0, 1.0]])
def test_a_reversed_box_has_no_adaptive_samples(box: list[float]) -> None:
    x = torch.ones(1, 1, 8, 8, requires_grad=True)
    rois = torch.tensor([[0.0, *box], [0.0, 1.0, 1.0, 5.0, 5.0]])
    levels = torch.zeros(2, dtype=torch.int64)
    options = {"sampling_ratio": 0, "aligned": True}
    output = multilevel_roi_align([x], rois, levels, 1, [1.0], **options)
    assert output.flatten().tolist() == [0.0, 1.0]
    output[0].sum().backward()
    assert x.grad.equal(torch.zeros_like(x))


@needs_extension
def test_gradients_are_no_views() -> None:
    """Autograd adds the gradients of several heads in place, unless the first is a view."""
    views: list[bool] = []
    maps = [torch.randn(1, 2, side, side, requires_grad=True) * 1 for side in (8, 4)]
    maps = [of_level.contiguous(memory_format=torch.channels_last) for of_level in maps]
    for of_level in maps:
        of_level.register_hook(lambda gradient: views.append(gradient._is_view()))
    rois = torch.tensor([[0.0, 1, 1, 20, 20], [0, 2, 2, 9, 9]])
    pooled = multilevel_roi_align(
        maps, rois, torch.tensor([0, 1]), 2, (0.25, 0.125), sampling_ratio=2
    )
    pooled.sum().backward()
    assert views == [False, False]
