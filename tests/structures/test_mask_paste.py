from __future__ import annotations

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.image_list import ImageList, to_image_list
from maskrcnn_benchmark.structures.mask_paste import (
    Masker,
    PastedRegion,
    expand_boxes,
    region_to_rle,
)
from tests.helpers.vectors import load_vector

META, ARRAYS = load_vector("masker")
SIZE = tuple(META["arguments"]["image_size_wh"])
OUTSIDE = 5  # the original raised for this row, whose box lies outside of the image


@pytest.mark.parametrize(
    ("name", "threshold", "padding"),
    [("t05", 0.5, 1), ("t0", 0, 1), ("debug", -1, 1), ("pad2", 0.5, 2)],
)
def test_recorded_masks(name, threshold, padding):
    boxes = BoxList(torch.from_numpy(ARRAYS["boxes"]), SIZE)
    pasted = Masker(threshold, padding)([torch.from_numpy(ARRAYS["masks"])], [boxes])[0]
    assert pasted.shape == (10, 1, SIZE[1], SIZE[0])
    expected = ARRAYS[f"pasted_{name}"].copy()
    expected[OUTSIDE] = 0
    got = pasted[:, 0].numpy().astype(np.uint8)
    if name == "debug":
        assert np.abs(got.astype(int) - expected).max() <= 1
    else:
        np.testing.assert_array_equal(got, expected)


def test_recorded_expansion():
    boxes = expand_boxes(torch.from_numpy(ARRAYS["boxes"]), 30 / 28)
    np.testing.assert_allclose(boxes.numpy(), ARRAYS["expanded_boxes"], atol=1e-4)


def test_empty_and_errors():
    pasted = Masker()([torch.zeros(0, 1, 28, 28)], [BoxList([], SIZE)])[0]
    assert pasted.shape == (0, 1, SIZE[1], SIZE[0])
    with pytest.raises(ValueError, match="2 masks for 0 boxes"):
        Masker()([torch.zeros(2, 1, 28, 28)], [BoxList([], SIZE)])


def test_recorded_batch():
    _, arrays = load_vector("image_list")
    images = [torch.from_numpy(arrays[f"img_{i}"]) for i in range(2)]
    batch = to_image_list(images, size_divisible=8)
    np.testing.assert_array_equal(batch.tensors.numpy(), arrays["batch_div8"])
    assert batch.image_sizes == [(10, 13), (12, 9)]
    assert to_image_list(batch) is batch


def test_image_list_errors():
    assert isinstance(to_image_list(torch.zeros(3, 4, 4)), ImageList)
    with pytest.raises(ValueError, match="at least one"):
        to_image_list([])
    with pytest.raises(TypeError, match="str"):
        to_image_list("image.jpg")


@pytest.mark.parametrize("seed", range(4))
def test_rle_of_a_region_is_that_of_the_whole_mask(seed):
    rng = np.random.default_rng(seed)
    boxes = rng.uniform(-8, 30, (20, 2)).repeat(2, 0).reshape(20, 4)
    boxes[:, 2:] += rng.uniform(0, 40, (20, 2))
    boxes[0] = (-9, -9, 60, 60)  # over the whole image
    boxes[1] = (50, 50, 60, 60)  # outside
    masks = torch.from_numpy(rng.uniform(0, 1, (20, 1, 7, 7)).astype(np.float32))
    masks[0] = 1
    prediction = BoxList(boxes, (31, 23))
    masker = Masker()
    whole = masker.forward_single_image(masks, prediction)[:, 0].numpy()
    assert whole[0].all()
    assert not whole[1].any()
    for mask, region in zip(whole, masker.regions(masks, prediction), strict=True):
        expected = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
        found = region_to_rle(region, prediction.size)
        assert found == {"size": [23, 31], "counts": expected["counts"].decode()}


@pytest.mark.parametrize(
    ("rows", "columns"), [((0, 5), (1, 3)), ((2, 5), (0, 4)), ((0, 3), (3, 4)), ((4, 5), (0, 4))]
)
def test_rle_of_regions_at_the_border(rows, columns):
    mask = np.zeros((5, 4), np.uint8)
    mask[slice(*rows), slice(*columns)] = 1
    pixels = torch.from_numpy(mask[slice(*rows), slice(*columns)]).bool()
    found = region_to_rle(PastedRegion(pixels, rows[0], columns[0]), (4, 5))
    assert found["counts"] == coco_mask.encode(np.asfortranarray(mask))["counts"].decode()
