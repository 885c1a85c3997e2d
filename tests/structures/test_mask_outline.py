"""Outlines against COCO's rasterization."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from maskrcnn_benchmark.structures.mask_outline import outline_polygons


def rasterized(polygons, shape):
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, *shape))).astype(bool)


def test_simple_shapes_come_back_exactly():
    mask = np.zeros((40, 50), bool)
    mask[5:20, 10:30] = True
    mask[15:35, 20:25] = True
    mask[36:39, 40:50] = True  # a second part, at the border
    polygons = outline_polygons(mask)
    assert len(polygons) == 2
    np.testing.assert_array_equal(rasterized(polygons, mask.shape), mask)


@pytest.mark.parametrize("seed", range(5))
def test_blobs_come_back(seed):
    ys, xs = np.mgrid[:60, :70]
    rng = np.random.default_rng(seed)
    angle = np.arctan2(ys - 30, xs - 35)
    radius = 18 + sum(rng.normal() * 2 * np.cos(k * angle + rng.uniform(0, 6)) for k in range(1, 5))
    mask = np.hypot(ys - 30, xs - 35) < radius
    again = rasterized(outline_polygons(mask), mask.shape)
    assert (mask & again).sum() >= 0.99 * (mask | again).sum()


def test_holes_are_filled_and_empty_masks_stay_empty():
    mask = np.ones((12, 12), bool)
    mask[4:8, 4:8] = False
    np.testing.assert_array_equal(rasterized(outline_polygons(mask), mask.shape), True)
    assert outline_polygons(np.zeros((12, 12), bool)) == []
