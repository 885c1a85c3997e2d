"""Bitmaps against those recorded from maskrcnn-benchmark.

Flips, RLE, rasterised polygons and crops on whole pixels are the same. It resized by bilinear
interpolation in the dtype of the storage, so that uint8 masks shrank and bool masks grew; the
resized masks here keep their area and are held to its float masks.
"""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from maskrcnn_benchmark.structures.bounding_box import FLIP_LEFT_RIGHT, FLIP_TOP_BOTTOM
from maskrcnn_benchmark.structures.segmentation_mask import SegmentationMask
from tests.helpers.polygons import unflatten
from tests.helpers.vectors import load_vector

META, ARRAYS = load_vector("binary_masks", "vectors_upstream")
SIZE = tuple(META["arguments"]["size_wh"])


def masks() -> SegmentationMask:
    return SegmentationMask(list(ARRAYS["masks"]), SIZE)


def test_flips_rle_and_polygons():
    np.testing.assert_array_equal(masks().transpose(FLIP_LEFT_RIGHT).decode(), ARRAYS["flip_h"])
    np.testing.assert_array_equal(masks().transpose(FLIP_TOP_BOTTOM).decode(), ARRAYS["flip_v"])
    rles = [coco_mask.encode(np.asfortranarray(mask)) for mask in ARRAYS["masks"]]
    np.testing.assert_array_equal(SegmentationMask(rles, SIZE).decode(), ARRAYS["from_rle"])
    polygons = SegmentationMask(unflatten(ARRAYS, "polys"), SIZE)
    np.testing.assert_array_equal(polygons.decode(), ARRAYS["poly_to_mask"])


@pytest.mark.parametrize("number", range(7))
def test_crops(number):
    """A box on whole pixels gives the same; another is not rounded, so its edge may differ."""
    box = META["arguments"]["facts"]["boxes"][number]
    got = np.stack([mask.pixels for mask in masks().crop(box).instances])
    expected = ARRAYS[f"u8_crop{number}"]
    left, top = max(-int(box[0]), 0), max(-int(box[1]), 0)  # it cut off what is beyond the image
    got = got[:, top:, left:]
    height, width = (min(a, b) for a, b in zip(got.shape[1:], expected.shape[1:], strict=True))
    same = got[:, :height, :width] == expected[:, :height, :width]
    if all(side == int(side) for side in box):
        assert same.all()
        assert not got[:, height:].any() and not got[:, :, width:].any()
    else:
        assert max(abs(a - b) for a, b in zip(got.shape, expected.shape, strict=True)) <= 1
        assert same.mean() > 0.95


@pytest.mark.parametrize("size", [(30, 22), (90, 66), (28, 28), (61, 43)])
def test_resized_masks_keep_their_area(size):
    got = masks().resize(size).decode()
    recorded = {
        kind: ARRAYS[f"{kind}_resize_{size[0]}x{size[1]}"] > 0.5 for kind in ("u8", "f32", "bool")
    }
    assert (got == recorded["f32"]).mean() > 0.985
    shrunk, area, grown = (x.sum(axis=(1, 2)) for x in (recorded["u8"], got, recorded["bool"]))
    assert (shrunk <= area).all() and (area <= grown).all()
    share = size[0] * size[1] / (SIZE[0] * SIZE[1])
    np.testing.assert_allclose(area, ARRAYS["masks"].sum(axis=(1, 2)) * share, rtol=0.1, atol=4)


def test_targets_of_proposals():
    boxes = ARRAYS["project_boxes"]
    got = [m.rasterize_in(b, 28) for m, b in zip(masks().instances, boxes, strict=True)]
    assert (np.stack(got) == (ARRAYS["f32_project28"] > 0.5)).mean() > 0.99


def test_unusable_forms_are_told():
    facts = META["arguments"]["facts"]
    assert masks()[2].decode().shape == tuple(facts["index int"])
    assert SegmentationMask([], SIZE).decode().shape == tuple(facts["empty list"])
    with pytest.raises(ValueError, match="in an image of 30 x 22"):
        SegmentationMask([ARRAYS["masks"][0]], (30, 22))  # it was resized without a word
    with pytest.raises(ValueError, match="no polygon with 3 finite vertices"):
        SegmentationMask([[[1.0, 1.0, 5.0, 5.0]]], SIZE)
