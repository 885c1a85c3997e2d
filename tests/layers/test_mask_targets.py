"""`mask_targets` against pycocotools, to the bit, and the areas of simple shapes."""

import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco_mask

from maskrcnn_benchmark.layers import PolygonSet, _mask_fallback, mask_targets
from tests.helpers import mask_oracles
from tests.layers.conftest import host_backends, needs_extension

property_test = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
SQUARE = np.float32([2, 2, 8, 2, 8, 8, 2, 8])
SPECIAL = [math.nan, math.inf, -math.inf, 1e30, 2.0**24 + 2]


@st.composite
def polygons(draw):
    """Any vertices: whole, half and tenth pixels, doubled ones, far out, very close."""
    count = draw(st.integers(3, 9))
    unit = draw(st.sampled_from([1.0, 0.5, 0.2, 0.1, 1 / 3, 1e-3, 40.0]))
    offset = draw(st.sampled_from([0.0, -50.0, 30.0, 0.3]))
    values = st.integers(-60, 200) if unit != 40 else st.integers(-60, 60)
    steps = draw(arrays.arrays(np.int64, 2 * count, elements=values))
    return (steps * unit + offset).astype(np.float32)


@st.composite
def cases(draw, special=False):
    """Instances, boxes, the instance of each, the side of the masks, and the image's size."""
    size = draw(st.integers(1, 120)), draw(st.integers(1, 120))
    instances = draw(st.lists(st.lists(polygons(), max_size=3), min_size=1, max_size=3))
    count = draw(st.integers(0, 4))
    unit = draw(st.sampled_from([1.0, 0.25, 1 / 7]))
    corners = draw(arrays.arrays(np.int64, (count, 2), elements=st.integers(-100, 900)))
    lengths = draw(arrays.arrays(np.int64, (count, 2), elements=st.integers(-3, 900)))
    boxes = (np.concatenate([corners, corners + lengths], axis=1) * unit).astype(np.float32)
    if special and count:
        boxes[0, draw(st.integers(0, 3))] = draw(st.sampled_from(SPECIAL))
    matched = draw(arrays.arrays(np.int64, count, elements=st.integers(0, len(instances) - 1)))
    return instances, boxes, matched, draw(st.sampled_from([1, 2, 14, 28, 70])), size


def targets(instances, boxes, matched, side, size):
    boxes = torch.as_tensor(boxes).reshape(-1, 4)
    matched = torch.as_tensor(matched, dtype=torch.int64)
    return mask_targets(PolygonSet.gather(instances), boxes, matched, side, size)


@host_backends
@property_test
@given(st.one_of(cases(), cases(special=True)))
def test_pixels_and_areas_are_those_of_pycocotools(case) -> None:
    instances, boxes, matched, side, size = case
    masks, areas = targets(*case)
    assert masks.dtype == torch.uint8 and masks.shape == (len(boxes), side, side)
    assert areas.dtype == torch.int64 and areas.shape == (len(boxes), 2)
    for box, instance, mask, area in zip(boxes, matched, masks, areas, strict=True):
        expected, *expected_areas = mask_oracles.target(instances[instance], box, side, size)
        np.testing.assert_array_equal(mask, expected)
        assert area.tolist() == expected_areas


@needs_extension
@property_test
@given(polygons(), st.integers(1, 60), st.integers(1, 60))
def test_one_polygon_on_a_canvas(polygon, width, height) -> None:
    """A canvas that is no square, in the frame of the image."""
    box = np.float32([0, 0, width, height])
    _, area = targets([[polygon]], [box.tolist()], [0], 1, (200, 200))
    _, inside, whole = mask_oracles.target([polygon], box, 1, (200, 200))
    assert area.tolist() == [[inside, whole]]


@host_backends
def test_areas_of_a_square() -> None:
    boxes = [[0.0, 0, 10, 10], [2, 2, 5, 8], [4, 4, 6, 6], [9, 9, 12, 12], [3, 3, 3, 3]]
    masks, areas = targets([[SQUARE]], boxes, [0] * 5, 10, (20, 20))
    assert areas.tolist() == [[36, 36], [18, 36], [4, 36], [0, 36], [0, 36]]
    expected = torch.zeros(10, 10, dtype=torch.uint8)
    expected[2:8, 2:8] = 1
    assert masks[0].equal(expected)
    assert masks[1].all() and masks[2].all() and not masks[3].any()


@host_backends
def test_the_union_is_drawn_and_the_sum_is_counted() -> None:
    twice = [SQUARE, SQUARE + np.float32(3)]
    masks, areas = targets([twice], [[0.0, 0, 20, 20]], [0], 20, (30, 30))
    assert areas.tolist() == [[72, 72]]
    assert masks.sum() == 72 - 9


@host_backends
def test_nothing_gives_nothing() -> None:
    masks, areas = targets([], np.zeros((0, 4), np.float32), [], 28, (10, 10))
    assert masks.shape == (0, 28, 28) and areas.shape == (0, 2)
    masks, areas = targets([[], [SQUARE]], [[0.0, 0, 9, 9]] * 2, [0, 1], 4, (10, 10))
    assert not masks[0].any() and masks[1].any()
    assert areas.tolist() == [[0, 0], [36, 36]]


@host_backends
def test_the_whole_is_measured_up_to_the_last_pixel_of_the_box() -> None:
    polygon = np.float32([0, 0, 9.6, 0, 9.6, 9.6, 0, 9.6])
    _, areas = targets([[polygon]], [[0.0, 0, 9.9, 9.9]], [0], 4, (20, 20))
    # canvases of 9 and of 10 pixels: floor(9.9), and the pixel that the box ends in as well
    expected = [area_on_canvas(polygon, side) for side in (9, 10)]
    assert areas.tolist() == [expected] == [[81, 100]]


def area_on_canvas(polygon, side):
    """Return the number of pixels of a polygon on a square canvas, by pycocotools."""
    return int(coco_mask.area(coco_mask.frPyObjects([polygon.tolist()], side, side))[0])


@needs_extension
@property_test
@given(cases(special=True))
def test_the_fallback_gives_the_same_bits(case) -> None:
    instances, boxes, matched, side, (width, height) = case
    boxes, matched = torch.from_numpy(boxes), torch.from_numpy(matched)
    arguments = (*PolygonSet.gather(instances), boxes, matched, side, height, width)
    ours = torch.ops.maskrcnn_benchmark.mask_targets(*arguments)
    for one, other in zip(ours, _mask_fallback.mask_targets(*arguments), strict=True):
        assert one.dtype == other.dtype
        assert one.equal(other)


@needs_extension
def test_huge_and_odd_coordinates_are_survived() -> None:
    """Beyond what pycocotools can draw."""
    for value in (1e9, 1e20, 3e38, -3e38, math.nan, math.inf):
        bad = np.float32([value, 1, 5, value, -5, value])
        masks, _ = targets([[bad, SQUARE]], [[0.0, 0, 10, 10]], [0], 10, (20, 20))
        assert masks[0, 2:8, 2:8].all()


@needs_extension
def test_other_dtypes_and_layouts() -> None:
    instances = [[SQUARE], [SQUARE * 2, SQUARE + 3]]
    boxes = torch.tensor([[0.0, 0, 9, 9], [1, 1, 14, 12], [3, 2, 8, 8]])
    strided = torch.cat([boxes, boxes], dim=1).double().t().contiguous().t()[:, :4]
    assert not strided.is_contiguous()
    expected = targets(instances, boxes, [1, 0, 1], 14, (20, 20))
    got = targets(instances, strided, torch.tensor([1, 9, 0, 9, 1])[::2], 14, (20, 20))
    flat = PolygonSet.gather(instances)
    double = PolygonSet(flat.coordinates.double(), *(starts.int() for starts in flat[1:]))
    third = mask_targets(double, boxes, torch.tensor([1, 0, 1]), 14, (20, 20))
    for other in (got, third):
        assert all(one.equal(two) for one, two in zip(expected, other, strict=True))


@host_backends
def test_wrong_arguments_are_named() -> None:
    flat, boxes, matched = PolygonSet.gather([[SQUARE]]), torch.zeros(2, 4), torch.zeros(2).long()

    def refused(error, message, *, polygons=flat, boxes=boxes, matched=matched):
        with pytest.raises(error, match=f"mask_targets: {message}"):
            mask_targets(polygons, boxes, matched, 4, (8, 8))

    refused(ValueError, r"expected boxes \[R, 4\], got \[2, 3\]", boxes=boxes[:, :3])
    refused(ValueError, "expected boxes of a floating type", boxes=boxes.long())
    refused(ValueError, r"expected matched \[2\], got \[1\]", matched=matched[:1])
    refused(RuntimeError, r"expected matched in \[0, 1\), got 1 in row 0", matched=matched + 1)
    refused(RuntimeError, r"expected matched in \[0, 1\), got -1 in row 0", matched=matched - 1)
    for starts in ([0, 6], [0, 5, 8], [2, 8], [0, 10, 8]):
        polygons = flat._replace(polygon_starts=torch.tensor(starts))
        refused(RuntimeError, "expected polygon_starts", polygons=polygons)
    for starts in ([0], [0, 2], [1, 1], [0, 2, 1]):
        polygons = flat._replace(instance_starts=torch.tensor(starts))
        refused(RuntimeError, "expected instance_starts", polygons=polygons)


@needs_extension
def test_the_operator_called_directly_checks_its_arguments() -> None:
    op, flat = torch.ops.maskrcnn_benchmark.mask_targets, PolygonSet.gather([[SQUARE]])
    boxes, matched = torch.zeros(2, 4), torch.zeros(2, dtype=torch.int64)
    with pytest.raises(RuntimeError, match=r"expected boxes \[R, 4\], got \[2, 3\]"):
        op(*flat, boxes[:, :3], matched, 4, 8, 8)
    with pytest.raises(RuntimeError, match=r"expected side in \[1, 32768\], got 0"):
        op(*flat, boxes, matched, 0, 8, 8)
    with pytest.raises(RuntimeError, match="expected an image of at least a pixel, got height 0"):
        op(*flat, boxes, matched, 4, 0, 8)
    with pytest.raises(RuntimeError, match=r"expected coordinates \[C\], got \[8, 1\]"):
        op(flat[0][:, None], *flat[1:], boxes, matched, 4, 8, 8)
    with pytest.raises(RuntimeError, match="expected polygon_starts of the type int64 or int32"):
        op(flat[0], flat[1].float(), flat[2], boxes, matched, 4, 8, 8)
