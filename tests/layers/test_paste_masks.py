"""`paste_masks` and `masks_to_rle` against torch's resizing and sampling, and pycocotools."""

import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from maskrcnn_benchmark.layers import PasteRule, _mask_fallback, masks_to_rle, paste_masks
from tests.helpers import mask_oracles
from tests.helpers.vectors import load_vector
from tests.layers.conftest import host_backends, needs_extension

property_test = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
ROUNDING = 5e-6  # of values up to 1, in float, against torch's fused multiply-adds
SPECIAL = [math.nan, math.inf, -math.inf, 1e30, -1e30, 2.0**30, -(2.0**30), 1e9, 0.0, -0.0]

rules = st.builds(
    PasteRule, st.sampled_from([0.5, 0.0, 0.3, 1.0]), st.sampled_from([0, 1, 2, 5]), st.booleans()
)


@st.composite
def cases(draw, special=False, largest=90):
    """Masks, boxes and an image: boxes of less than a pixel up to far beyond the image."""
    size = draw(st.integers(1, largest)), draw(st.integers(1, largest))
    count, side = draw(st.integers(0, 5)), draw(st.sampled_from([1, 2, 3, 7, 14, 28]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    corners = rng.uniform(-0.6, 1.2, (count, 2)) * max(size)
    lengths = max(size) * rng.uniform(-0.02, 1.3, (count, 2)) * rng.uniform(0, 1.2, (count, 1)) ** 4
    boxes = np.concatenate([corners, corners + lengths], axis=1).astype(np.float32)
    boxes = draw(st.sampled_from([boxes, boxes.round(), (boxes * 2).round() / 2]))
    if special and count:
        for _ in range(draw(st.integers(1, 3))):
            value = draw(st.sampled_from(SPECIAL))
            boxes[draw(st.integers(0, count - 1)), draw(st.integers(0, 3))] = value
    masks = rng.uniform(0, 1, (count, side, side)).astype(np.float32)
    masks = draw(st.sampled_from([masks, masks.round(), (masks * 4).round() / 4, masks**4]))
    if special and count and draw(st.booleans()):
        masks[0, 0, 0] = draw(st.sampled_from([math.nan, math.inf, -math.inf]))
    return torch.from_numpy(masks), torch.from_numpy(boxes), size


@pytest.mark.usefixtures("backend")
@settings(property_test, suppress_health_check=[*HealthCheck])
@given(cases(), rules)
def test_pixels_are_those_of_torchs_resizing_and_sampling(case, rule) -> None:
    """They may differ where a value is a rounding error from the threshold, and only there."""
    masks, boxes, size = case
    pasted = paste_masks(masks, boxes, size, rule)
    assert pasted.dtype == torch.bool and pasted.shape == (len(masks), size[1], size[0])
    soft_pixels = paste_masks(masks, boxes, size, PasteRule(-1, rule.padding, rule.aligned))
    assert soft_pixels.dtype == torch.uint8
    for mask, box, got, soft_got in zip(masks, boxes, pasted, soft_pixels, strict=True):
        soft, reached = mask_oracles.soft_mask(mask, box, size, rule.padding, rule.aligned)
        expected = (soft >= rule.threshold) if rule.aligned else (soft > rule.threshold)
        unclear = (soft - rule.threshold).abs() < ROUNDING * (1 + max(size) * float(rule.aligned))
        unclear &= soft > 0  # zeros are exact
        assert not ((got != (expected & reached)) & ~unclear).any()
        wrong = (soft_got.float() - (soft * 255).floor()).abs()
        assert wrong.max() <= 1


@host_backends
@settings(property_test, suppress_health_check=[*HealthCheck])
@given(cases(special=True), rules)
def test_rles_are_those_of_the_pixels(case, rule) -> None:
    masks, boxes, size = case
    pasted = paste_masks(masks, boxes, size, rule)
    rles = masks_to_rle(masks, boxes, size, rule)
    assert rles == [mask_oracles.encode(pixels) for pixels in pasted]


@needs_extension
@property_test
@given(cases(special=True), rules)
def test_the_fallback_gives_the_same_bits(case, rule) -> None:
    masks, boxes, size = case
    assert masks_to_rle(masks, boxes, size, rule) == _mask_fallback.masks_to_rle(*case, rule)
    for threshold in (rule.threshold, -1):
        one = PasteRule(threshold, rule.padding, rule.aligned)
        pasted = paste_masks(masks, boxes, size, one)
        other = _mask_fallback.paste_masks(masks, boxes, size, one)
        assert pasted.dtype == other.dtype
        assert pasted.equal(other)


@host_backends
@pytest.mark.parametrize(
    ("threshold", "padding", "name"), [(0.5, 1, "t05"), (0, 1, "t0"), (0.5, 2, "pad2")]
)
def test_recorded_masks(threshold, padding, name) -> None:
    _, arrays = load_vector("masker")
    masks = torch.from_numpy(arrays["masks"])[:, 0]
    expected = torch.from_numpy(arrays[f"pasted_{name}"]).bool()
    expected[5] = False  # the original raised for this row, whose box lies outside of the image
    case = masks, torch.from_numpy(arrays["boxes"]), tuple(reversed(expected.shape[1:]))
    rule = PasteRule(threshold, padding)
    assert paste_masks(*case, rule).equal(expected)
    assert masks_to_rle(*case, rule) == [mask_oracles.encode(pixels) for pixels in expected]


@host_backends
@pytest.mark.parametrize("aligned", [False, True])
def test_a_huge_box_takes_time_by_the_image(aligned) -> None:
    boxes = torch.tensor([[-1e9, -1e9, 1e9, 1e9], [-1e9, 3, 1e9, 5], [2.0, 2, 2, 2]])
    case = torch.ones(3, 28, 28), boxes, (40, 30)
    pasted = paste_masks(*case, PasteRule(aligned=aligned))
    assert pasted[0].all()
    assert pasted[1, 3].all() and not pasted[1, 10].any()
    assert pasted[2].sum() == (0 if aligned else 1)  # inclusive: one pixel
    assert masks_to_rle(*case, PasteRule(aligned=aligned))[0] == "0`U1"  # 0 zeros, 1200 ones


@host_backends
@pytest.mark.parametrize("value", SPECIAL[:5])
@pytest.mark.parametrize("aligned", [False, True])
def test_a_box_that_is_no_box_has_no_pixels(value, aligned) -> None:
    for column in range(4):
        boxes = torch.tensor([[2.0, 2, 12, 12]])
        boxes[0, column] = value
        case = torch.ones(1, 4, 4), boxes, (20, 16)
        assert not paste_masks(*case, PasteRule(0.0, aligned=aligned)).any()
        assert masks_to_rle(*case, PasteRule(aligned=aligned)) == ["P:"]


@needs_extension
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_dtypes_and_layouts(dtype) -> None:
    masks = torch.rand(6, 12, 4).to(dtype).permute(2, 0, 1)[:, :, ::2]  # [4, 6, 6], strided
    boxes = torch.tensor([[3, 1, 20, 17, 9.0], [5, 5, 30, 9, 9], [0, 0, 8, 8, 9], [1, 2, 3, 4, 9]])
    boxes = boxes.to(dtype)[:, :4]
    assert not masks.is_contiguous() and not boxes.is_contiguous()
    for aligned in (False, True):
        rule = PasteRule(0.4, aligned=aligned)
        expected = paste_masks(
            masks.float().contiguous(), boxes.float().contiguous(), (32, 24), rule
        )
        assert paste_masks(masks, boxes, (32, 24), rule).equal(expected)
        rles = masks_to_rle(masks, boxes, (32, 24), rule)
        assert rles == [mask_oracles.encode(pixels) for pixels in expected]


def test_wrong_arguments_are_named() -> None:
    masks, boxes, rule = torch.rand(2, 4, 4), torch.zeros(2, 4), PasteRule()
    wrong = {
        r"expected masks \[R, M, M\], got \[2, 4\]": (masks[:, 0], boxes, (8, 8), rule),
        r"expected masks \[R, M, M\] with M > 0, got \[2, 4, 3\]": (
            *(masks[..., :3], boxes, (8, 8), rule),
        ),
        r"expected boxes \[2, 4\], got \[1, 4\]": (masks, boxes[:1], (8, 8), rule),
        "expected masks of a floating type, got torch.int64": (masks.long(), boxes, (8, 8), rule),
        "expected boxes of a floating type, got torch.int64": (masks, boxes.long(), (8, 8), rule),
        r"expected image_size .*, got \(0, 8\)": (masks, boxes, (0, 8), rule),
        r"expected image_size .*, got \(65536, 32768\)": (masks, boxes, (65536, 32768), rule),
        r"expected padding in \[0, 65536\], got -1": (masks, boxes, (8, 8), PasteRule(padding=-1)),
        "expected a threshold that is a number, got nan": (
            *(masks, boxes, (8, 8), PasteRule(math.nan)),
        ),
    }
    for message, arguments in wrong.items():
        for op in (paste_masks, masks_to_rle):
            with pytest.raises(ValueError, match=f"{op.__name__}: {message}"):
                op(*arguments)
    with pytest.raises(ValueError, match="masks_to_rle: expected threshold >= 0, got -1"):
        masks_to_rle(masks, boxes, (8, 8), PasteRule(-1))


@needs_extension
def test_operators_called_directly_check_their_arguments() -> None:
    masks, boxes, options = torch.rand(2, 4, 4), torch.zeros(2, 4), (8, 8, 0.5, 1, False)
    for name in ("paste_masks", "masks_to_rle"):
        op = getattr(torch.ops.maskrcnn_benchmark, name)
        with pytest.raises(RuntimeError, match=rf"{name}: expected masks \[R, M, M\].*\[2, 4, 3\]"):
            op(masks[..., :3], boxes, *options)
        with pytest.raises(RuntimeError, match=rf"{name}: expected boxes \[2, 4\], got \[2, 3\]"):
            op(masks, boxes[:, :3], *options)
        with pytest.raises(RuntimeError, match=f"{name}: expected masks of a floating type"):
            op(masks.long(), boxes, *options)
        with pytest.raises(RuntimeError, match=f"{name}: expected an image .* got height 0 and"):
            op(masks, boxes, 0, *options[1:])
        with pytest.raises(RuntimeError, match=rf"{name}: expected padding in .* got -2"):
            op(masks, boxes, 8, 8, 0.5, -2, False)
        with pytest.raises(RuntimeError, match=f"{name}: expected a threshold that is a number"):
            op(masks, boxes, 8, 8, math.nan, 1, False)
    with pytest.raises(RuntimeError, match="expected threshold >= 0, got -1"):
        torch.ops.maskrcnn_benchmark.masks_to_rle(masks, boxes, 8, 8, -1.0, 1, False)


@needs_extension
def test_thread_counts_and_noise_give_the_same_text() -> None:
    """A mask of noise, with as many runs as can be, and all of it at the border."""
    generator = torch.Generator().manual_seed(0)
    masks = torch.rand(9, 64, 64, generator=generator)
    boxes = torch.tensor([[0.0, 0, 63, 63]]).repeat(9, 1)
    texts = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        texts.append(masks_to_rle(masks, boxes, (64, 64), PasteRule(padding=0)))
    assert texts[0] == texts[1]
    pixels = np.stack([coco_mask.decode({"size": [64, 64], "counts": text}) for text in texts[0]])
    np.testing.assert_array_equal(pixels, (masks > 0.5).numpy())
