"""Arithmetic on run lengths against decoded pixels."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from maskrcnn_benchmark.structures.rle import rle_areas


@pytest.mark.parametrize("count", [0, 1, 254, 255, 256, 257, 511, 600])
def test_areas_of_any_number_of_masks(count):
    rng = np.random.default_rng(count)
    masks = (rng.random((count, 6, 5)) < rng.random((count, 1, 1))).astype(np.uint8)
    rles = [coco_mask.encode(np.asfortranarray(mask)) for mask in masks]
    areas = rle_areas(rles)
    assert areas.dtype == np.int64
    assert areas.tolist() == masks.sum(axis=(1, 2)).tolist()
