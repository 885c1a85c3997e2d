"""Bitmaps against those recorded from maskrcnn-benchmark.

Flips, RLE, rasterized polygons and crops on whole pixels are the same. It resized by bilinear
interpolation in the dtype of the storage, so that uint8 masks shrank and bool masks grew; the
resized masks here keep their area and are held to its float masks.
"""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from maskrcnn_benchmark.structures.binary_mask import BinaryMask
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


def test_unsupported_forms_are_reported():
    facts = META["arguments"]["facts"]
    assert masks()[2].decode().shape == tuple(facts["index int"])
    assert SegmentationMask([], SIZE).decode().shape == tuple(facts["empty list"])
    with pytest.raises(ValueError, match="in an image of 30 x 22"):
        SegmentationMask([ARRAYS["masks"][0]], (30, 22))  # it was resized silently
    with pytest.raises(ValueError, match="no polygon with 3 finite vertices"):
        SegmentationMask([[[1.0, 1.0, 5.0, 5.0]]], SIZE)


def slow_sample(canvas, xs, ys):
    """Sample a whole canvas at a grid of points, one by one."""
    out = np.zeros((len(ys), len(xs)), np.uint8)
    for i, y in enumerate(np.floor(ys).astype(int)):
        for j, x in enumerate(np.floor(xs).astype(int)):
            if 0 <= y < canvas.shape[0] and 0 <= x < canvas.shape[1]:
                out[i, j] = canvas[y, x]
    return out


def slow_stretch(canvas, box, width, height):
    step_x, step_y = max(box[2] - box[0], 1) / width, max(box[3] - box[1], 1) / height
    xs = box[0] + (np.arange(width) + 0.5) * step_x
    ys = box[1] + (np.arange(height) + 0.5) * step_y
    return slow_sample(canvas, xs, ys)


def scattered(rng):
    """Return a canvas with a few pixels set in a part of it, or none."""
    canvas = np.zeros(rng.integers(1, 24, 2), np.uint8)
    top, left = rng.integers(0, canvas.shape)
    window = canvas[top : top + rng.integers(0, 12), left : left + rng.integers(0, 12)]
    window[:] = rng.random(window.shape) < 0.7
    return canvas


@pytest.mark.parametrize("seed", range(60))
def test_a_cropped_canvas_equals_the_whole_canvas(seed):
    rng = np.random.default_rng(seed)
    canvas = scattered(rng)
    mask = BinaryMask(canvas)
    for _ in range(3):
        corners = np.sort(rng.uniform(-8, 30, (2, 2)), axis=0)
        box = (corners.round() if rng.random() < 0.4 else corners).astype(np.float32).ravel()
        height, width = canvas.shape
        kind = rng.integers(0, 4)
        if kind == 0:
            mask, canvas = mask.transpose(FLIP_LEFT_RIGHT, (width, height), 1), canvas[:, ::-1]
        elif kind == 1:
            mask, canvas = mask.transpose(FLIP_TOP_BOTTOM, (width, height), 1), canvas[::-1]
        elif kind == 2:
            mask = mask.crop(box)
            sides = np.maximum((box[2:] - box[:2]).astype(int), 1)
            xs, ys = (box[axis] + np.arange(sides[axis]) + 0.5 for axis in (0, 1))
            canvas = slow_sample(canvas, xs, ys)
        else:
            ratios = rng.uniform(0.3, 2, 2)
            mask = mask.scale(*ratios)
            new = [max(round(side * r), 1) for side, r in zip((width, height), ratios, strict=True)]
            canvas = slow_stretch(canvas, (0, 0, width, height), *new)
        np.testing.assert_array_equal(mask.pixels, canvas)
        np.testing.assert_array_equal(mask.rasterize_in(box, 7), slow_stretch(canvas, box, 7, 7))
        other = np.zeros(rng.integers(1, 40, 2), np.uint8)
        common = tuple(slice(min(a, b)) for a, b in zip(other.shape, canvas.shape, strict=True))
        other[common] = canvas[common]
        np.testing.assert_array_equal(mask.rasterize(*other.shape), other)
        np.testing.assert_array_equal(coco_mask.decode(mask.to_rle(*other.shape)), other)
        assert mask.area(*other.shape) == other.sum()


def test_hundreds_of_instances_store_only_their_own_pixels():
    """Whole canvases would take 300 x 400 x 500 bytes, and more when resized."""
    canvas = np.zeros((400, 500), np.uint8)
    canvas[50:60, 40:70] = 1
    rle = coco_mask.encode(np.asfortranarray(canvas))
    many = SegmentationMask([rle] * 300, (500, 400))
    large = many.resize((1000, 800)).transpose(FLIP_LEFT_RIGHT)
    for held, pixels in ((many, 10 * 30), (large, 20 * 60)):
        arrays = [m.part if m.part.base is None else m.part.base for m in held.instances]
        assert sum(array.nbytes for array in arrays) == 300 * pixels
    assert large.areas().tolist() == [20 * 60] * 300
    np.testing.assert_array_equal(
        large[299].decode()[0], canvas.repeat(2, axis=0).repeat(2, axis=1)[:, ::-1]
    )


@pytest.mark.parametrize("seed", range(20))
def test_areas_in_a_box_are_those_of_its_crop(seed):
    """Boxes that reach out, of less than a pixel, turned around; corners between pixels."""
    rng = np.random.default_rng(seed)
    mask = BinaryMask((rng.uniform(size=(17, 23)) < 0.5).astype(np.uint8), (4, 3), (40, 30))
    for _ in range(20):
        box = np.concatenate([corner := rng.uniform(-9, 40, 2), corner + rng.uniform(-2, 30, 2)])
        box = rng.choice([box, box.round(), (box * 2).round() / 2]).astype(np.float32)
        inside, whole = mask.areas_in(box, (40, 30))
        assert whole == mask.part.sum()
        thin = min(int(box[2] - box[0]), int(box[3] - box[1])) <= 0
        assert inside == (0 if thin else mask.crop(box).part.sum())
