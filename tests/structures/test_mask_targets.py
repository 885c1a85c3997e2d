"""Targets of instances of every kind in one image, row by row as the instances tell them."""

import math

import numpy as np
import pytest
import torch

from maskrcnn_benchmark.layers import PolygonSet
from maskrcnn_benchmark.structures import mask_targets as module
from maskrcnn_benchmark.structures.instance_mask import BinaryMask, NoMask, Polygons
from maskrcnn_benchmark.structures.mask_targets import instance_targets

SIZE = (60, 40)


def instances():
    square = np.float32([5, 5, 25, 5, 25, 25, 5, 25])
    pixels = np.zeros((40, 60), np.uint8)
    pixels[10:30, 20:50] = 1
    return [Polygons([square]), BinaryMask(pixels), NoMask(), Polygons([square + 9, square - 3])]


def draw(count):
    rng = np.random.default_rng(0)
    corners = rng.uniform(-5, 40, (count, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(0, 30, (count, 2))], axis=1)
    matched = torch.from_numpy(rng.integers(0, 4, count))
    return torch.from_numpy(boxes.astype(np.float32)), matched


@pytest.mark.parametrize("kinds", [[0, 1, 2, 3], [0, 3, 0, 3], [1, 1, 2, 1]])
def test_rows_are_those_of_the_instances(kinds):
    own = [instances()[kind] for kind in kinds]
    boxes, matched = draw(30)
    masks, fractions = instance_targets(own, boxes, matched, 14, SIZE)
    assert masks.dtype == torch.uint8 and masks.shape == (30, 14, 14)
    assert fractions.dtype == torch.float32 and fractions.shape == (30,)
    rows = zip(matched.tolist(), boxes.numpy(), masks, fractions.tolist(), strict=True)
    for number, box, mask, fraction in rows:
        np.testing.assert_array_equal(mask, own[number].rasterize_in(box, 14))
        expected = own[number].visible_fraction(box, SIZE)
        assert fraction == pytest.approx(expected, rel=1e-6, nan_ok=True)
    assert masks.any() or kinds == []


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 2.0**24 + 2])
@pytest.mark.parametrize("kind", range(4))
def test_a_box_that_is_no_box_has_no_target(value, kind):
    for column in range(4):
        boxes = torch.tensor([[2.0, 2, 30, 30], [2, 2, 30, 30]])
        boxes[0, column] = value
        masks, fractions = instance_targets(instances(), boxes, torch.tensor([kind, kind]), 7, SIZE)
        assert not masks[0].any() and fractions[0].isnan()
        assert masks[1].any() == (kind != 2)


def test_only_the_matched_instances_are_looked_at(monkeypatch):
    """Time goes by the boxes, not by the instances of the image."""
    seen = []
    gather = PolygonSet.gather
    monkeypatch.setattr(
        module.PolygonSet, "gather", lambda polygons: seen.append(len(polygons)) or gather(polygons)
    )
    many = instances() * 500
    boxes, _ = draw(6)
    matched = torch.tensor([3, 1999, 3, 1996, 0, 3])
    masks, fractions = instance_targets(many, boxes, matched, 14, SIZE)
    assert seen == [4]
    few = instance_targets(instances(), boxes, matched % 4, 14, SIZE)
    assert masks.equal(few[0]) and fractions.equal(few[1])


def test_no_boxes_and_no_instances():
    for own in ([], instances()):
        masks, fractions = instance_targets(
            own, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), 28, SIZE
        )
        assert masks.shape == (0, 28, 28) and fractions.shape == (0,)
