"""Arithmetic on run lengths against decoded pixels."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from maskrcnn_benchmark.structures.rle import (
    decode_rle,
    encode_rle,
    plain_runs,
    read_runs,
    rle_areas,
)


@pytest.mark.parametrize("count", [0, 1, 254, 255, 256, 257, 511, 600])
def test_areas_of_any_number_of_masks(count):
    rng = np.random.default_rng(count)
    masks = (rng.random((count, 6, 5)) < rng.random((count, 1, 1))).astype(np.uint8)
    rles = [coco_mask.encode(np.asfortranarray(mask)) for mask in masks]
    areas = rle_areas(rles)
    assert areas.dtype == np.int64
    assert areas.tolist() == masks.sum(axis=(1, 2)).tolist()


@pytest.mark.parametrize("seed", range(20))
def test_runs_are_read_and_made_plain(seed):
    rng = np.random.default_rng(seed)
    pixels = (rng.random((7, 9)) < rng.random()).astype(np.uint8)
    compressed = coco_mask.encode(np.asfortranarray(pixels))["counts"].decode()
    flat = pixels.ravel(order="F")
    ends = [0, *(np.flatnonzero(np.diff(flat)) + 1), flat.size]
    expected = [0] * int(flat[0]) + np.diff(ends).tolist()
    assert read_runs({"size": [7, 9], "counts": compressed}, 7, 9).tolist() == expected
    assert plain_runs(np.array(expected)).tolist() == expected
    split = [part for run in expected for part in (run, 0, 0)]  # the end of a run, then none twice
    assert plain_runs(np.array(split)).tolist() == expected
    assert plain_runs(np.array([0, 0, *expected])).tolist() == expected


def test_large_numbers_are_read():
    pixels = np.zeros((3000, 2000), np.uint8)
    pixels[5, 1900] = pixels[7:2000, 1950:1960] = 1
    compressed = coco_mask.encode(np.asfortranarray(pixels))["counts"].decode()
    runs = read_runs({"size": [3000, 2000], "counts": compressed}, 3000, 2000)
    assert runs.sum() == 6_000_000
    assert runs[1::2].sum() == pixels.sum()
    assert runs[:2].tolist() == [1900 * 3000 + 5, 1]


@pytest.mark.parametrize("form", ["compressed", "plain"])
def test_encoding_and_decoding_are_inverse(form):
    pixels = np.random.default_rng(0).random((7, 5)) > 0.5
    flat = pixels.ravel(order="F").tolist()
    runs, value = [0], False
    for pixel in flat:
        runs, value = (runs if pixel == value else [*runs, 0]), pixel
        runs[-1] += 1
    rle = encode_rle(pixels) if form == "compressed" else {"size": [7, 5], "counts": runs}
    assert isinstance(rle["counts"], str if form == "compressed" else list)
    np.testing.assert_array_equal(decode_rle(rle), pixels)
    assert read_runs(encode_rle(pixels), 7, 5).tolist() == runs
