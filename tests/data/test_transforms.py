"""Transforms against recorded images, boxes and sizes."""

import random
from fractions import Fraction
from math import floor

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional as F

from maskrcnn_benchmark.config import cfg, check_config
from maskrcnn_benchmark.data.transforms import (
    Compose,
    Normalize,
    RandomHorizontalFlip,
    RandomVerticalFlip,
    Resize,
    ToTensor,
    build_transforms,
    resized_size,
)
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.image_list import to_image_list
from maskrcnn_benchmark.structures.segmentation_mask import SegmentationMask
from tests.helpers.vectors import load_vector

META, ARRAYS = load_vector("transforms")
MEAN = META["arguments"]["mean"]


@pytest.mark.parametrize("row", load_vector("resize_sizes")[0]["data"])
def test_sizes_are_the_recorded_ones(row):
    min_size, max_size, size, out = row
    if 0 in out:  # the original made an image without pixels
        height, width = resized_size(tuple(size), min_size, max_size)
        assert min(height, width) == 1
        assert max(height, width) == max_size
        return
    assert list(resized_size(tuple(size), min_size, max_size)) == out


def nearest_by_hand(size, min_size, max_size):
    """Return both sides by exact fractions, rounding half up, and whether either is a half."""
    scale = min(Fraction(min_size, min(size)), Fraction(max_size, max(size)))
    exact = [side * scale for side in size]
    width, height = (max(floor(side + Fraction(1, 2)), 1) for side in exact)
    return (height, width), any(side % 1 == Fraction(1, 2) for side in exact)


def test_nearest_sizes_are_the_exact_ones_rounded():
    checked = free = apart = 0
    for width in range(37, 1700, 31):
        for height in range(29, 1700, 37):
            expected, is_half = nearest_by_hand((width, height), 800, 1333)
            if is_half:
                continue
            got = resized_size((width, height), 800, 1333, "nearest")
            assert got == expected
            checked += 1
            if max(width, height) * 800 < 1333 * min(width, height):  # no limit on the long side
                down = resized_size((width, height), 800, 1333)
                assert max(np.subtract(got, down)) <= 1
                assert min(np.subtract(got, down)) >= 0
                free += 1
                apart += got != down
    assert checked > 2000
    assert 0.4 < apart / free < 0.6


def test_nearest_sizes_by_examples():
    assert resized_size((640, 427), 800, 1333, "nearest") == (800, 1199)  # 1199.06
    assert resized_size((500, 333), 800, 1333, "nearest") == (800, 1201)  # 1201.20
    assert resized_size((640, 429), 800, 1333, "nearest") == (800, 1193)  # 1193.47
    assert resized_size((640, 426), 800, 1333, "nearest") == (800, 1202)  # 1201.88
    assert resized_size((640, 426), 800, 1333, "down") == (800, 1201)
    assert resized_size((1000, 333), 800, 1333, "nearest") == (444, 1333)  # 443.889
    assert resized_size((3, 2), 5, None, "nearest") == (5, 8)  # 7.5: half up
    assert resized_size((5, 2), 5, None, "nearest") == (5, 13)  # 12.5: not half to even
    assert resized_size((1, 9000), 800, 1333, "nearest") == (1333, 1)
    with pytest.raises(ValueError, match="rounding is 'up'; it must be 'down' or 'nearest'"):
        resized_size((3, 2), 5, None, "up")


@pytest.mark.parametrize("is_train", [False, True])
def test_the_rounding_of_the_configuration_is_followed(is_train):
    config = cfg.clone()
    config.merge_from_list(["INPUT.MIN_SIZE_TRAIN", 100, "INPUT.MIN_SIZE_TEST", 100])
    image = Image.new("RGB", (640, 426))  # 150.23 and, the other way round, 150.23
    narrow = Image.new("RGB", (640, 381))  # 167.98
    for rounding, width in (("down", 167), ("nearest", 168)):
        config.INPUT.SIZE_ROUNDING = rounding
        transform = build_transforms(config, is_train)
        rng = random.Random(0)
        assert transform(image, None, rng)[0].shape == (3, 100, 150)
        assert transform(narrow, None, rng)[0].shape == (3, 100, width)
    config.INPUT.SIZE_ROUNDING = "up"
    with pytest.raises(ValueError, match="INPUT.SIZE_ROUNDING is 'up'; it must be one of down, ne"):
        check_config(config)


def recorded_input():
    return Image.fromarray(ARRAYS["image"])


@pytest.mark.parametrize(
    ("name", "transform"),
    [
        ("bgr255", [Resize(40, 60), ToTensor(), Normalize(MEAN, [1, 1, 1])]),
        (
            "rgb01",
            [
                Resize(40, 60),
                ToTensor(),
                Normalize([0.4, 0.5, 0.6], [0.2, 0.3, 0.4], to_bgr255=False),
            ],
        ),
        (
            "flip",
            [Resize(23, 60), RandomHorizontalFlip(1.0), ToTensor(), Normalize(MEAN, (1, 2, 4))],
        ),
    ],
)
def test_images_and_boxes_are_the_recorded_ones(name, transform):
    before = BoxList([[2, 3, 10, 12], [5, 6, 30, 22]], (31, 23))
    image, target = Compose(transform)(recorded_input(), before)
    torch.testing.assert_close(image, torch.from_numpy(ARRAYS[f"out_{name}"]), rtol=1e-6, atol=1e-5)
    expected = torch.from_numpy(ARRAYS[f"boxes_{name}"])
    torch.testing.assert_close(target.bbox, expected, rtol=1e-6, atol=1e-5)
    assert target.size == (image.shape[2], image.shape[1])


def test_flips_draw_as_recorded():
    rng = random.Random(9)
    flip = RandomHorizontalFlip(0.5)
    image = Image.new("L", (2, 1))
    image.putpixel((0, 0), 255)
    drawn = [flip(image, None, rng)[0].getpixel((0, 0)) == 0 for _ in range(40)]
    assert drawn == ARRAYS["flip_draws"].tolist()


def test_without_a_generator_the_global_one_is_drawn_from():
    random.seed(9)
    image = Image.new("L", (2, 1))
    image.putpixel((0, 0), 255)
    drawn = [RandomHorizontalFlip()(image)[0].getpixel((0, 0)) == 0 for _ in range(40)]
    assert drawn == ARRAYS["flip_draws"].tolist()


def test_several_sizes_are_all_drawn():
    resize, rng = Resize((10, 20, 30), None), random.Random(0)
    image = Image.new("RGB", (5, 8))
    drawn = [resize(image, None, rng)[0].size[0] for _ in range(100)]
    assert set(drawn) == {10, 20, 30}
    assert min(drawn.count(size) for size in (10, 20, 30)) > 15


def test_empty_targets_and_masks_are_transformed():
    transform = Compose([Resize(40, 60), RandomHorizontalFlip(1.0), ToTensor()])
    empty = BoxList([], (31, 23))
    empty.add_field("masks", SegmentationMask([], (31, 23)))
    image, target = transform(recorded_input(), empty)
    assert target.size == (image.shape[2], image.shape[1])
    assert target.get_field("masks").size == target.size

    one = BoxList([[2, 3, 10, 12]], (31, 23))
    one.add_field("masks", SegmentationMask([[[2, 3, 11, 3, 11, 13, 2, 13]]], (31, 23)))
    image, target = transform(recorded_input(), one)
    ys, xs = np.nonzero(target.get_field("masks").decode()[0])
    x1, y1, x2, y2 = target.bbox[0].tolist()
    assert abs(xs.min() - x1) <= 2
    assert abs(xs.max() - x2) <= 2
    assert abs(ys.min() - y1) <= 2
    assert abs(ys.max() - y2) <= 2


def test_the_configuration_is_followed():
    config = cfg.clone()
    config.merge_from_list(
        ["INPUT.MIN_SIZE_TRAIN", (20, 40), "INPUT.MIN_SIZE_TEST", 46, "INPUT.TO_BGR255", False]
        + ["INPUT.HORIZONTAL_FLIP_PROB_TRAIN", 1.0, "INPUT.PIXEL_MEAN", [0.0, 0.0, 0.0]]
    )
    pixels = np.array([[[255, 0, 0], [0, 0, 255]]], dtype=np.uint8).repeat(23, axis=0)
    image = Image.fromarray(pixels)  # 2 wide: red, blue
    sizes = {build_transforms(config)(image)[0].shape[2] for _ in range(50)}
    assert sizes == {20, 40}
    train, _ = build_transforms(config)(image)
    test, _ = build_transforms(config, is_train=False)(image)
    assert test.shape[2] == 46
    assert test[:, 0, 0].tolist() == [1, 0, 0]
    assert train[:, 0, 0].tolist() == [0, 0, 1]  # mirrored


UPSTREAM, UPSTREAM_ARRAYS = load_vector("transforms_upstream", "vectors_upstream")
RUNS = UPSTREAM["arguments"]["pipeline"]


def recorded_masks():
    """Return the recorded polygons as a list per instance."""
    ends = UPSTREAM_ARRAYS["poly_lengths"].cumsum()
    polygons = iter(np.split(UPSTREAM_ARRAYS["poly_flat"], ends[:-1]))
    return [[next(polygons) for _ in range(n)] for n in UPSTREAM_ARRAYS["poly_counts"]]


@pytest.mark.parametrize(
    ("name", "transform"),
    [
        ("vflip", RandomVerticalFlip(1.0)),
        ("hflip", RandomHorizontalFlip(1.0)),
        ("resize", Resize(96, 200)),
    ],
)
def test_images_boxes_and_masks_are_upstreams(name, transform):
    image = Image.fromarray(UPSTREAM_ARRAYS["image"])
    before = BoxList(torch.from_numpy(UPSTREAM_ARRAYS["boxes"]), image.size)
    before.add_field("masks", SegmentationMask(recorded_masks(), image.size))
    image, target = transform(image, before)
    np.testing.assert_array_equal(np.asarray(image), UPSTREAM_ARRAYS[f"{name}_image"])
    boxes = torch.from_numpy(UPSTREAM_ARRAYS[f"{name}_boxes"])
    torch.testing.assert_close(target.bbox, boxes, rtol=1e-6, atol=1e-5)
    masks = target.get_field("masks")
    packed = np.packbits(masks.decode().reshape(len(masks), -1), axis=1)
    np.testing.assert_array_equal(packed, UPSTREAM_ARRAYS[f"{name}_masks"])
    flat = np.concatenate([p for m in masks.instances for p in m.polygons])
    np.testing.assert_allclose(flat, UPSTREAM_ARRAYS[f"{name}_polys_flat"], rtol=1e-6, atol=1e-5)


def test_the_whole_pipeline_draws_and_computes_as_upstreams():
    config = cfg.clone()
    config.merge_from_list(
        ["INPUT.MIN_SIZE_TRAIN", tuple(RUNS["min"]), "INPUT.MAX_SIZE_TRAIN", RUNS["max"]]
        + ["INPUT.HORIZONTAL_FLIP_PROB_TRAIN", RUNS["hflip"]]
        + ["INPUT.VERTICAL_FLIP_PROB_TRAIN", RUNS["vflip"]]
    )
    transforms = build_transforms(config)
    rng = random.Random(UPSTREAM["arguments"]["pipeline_seed"])
    for run in RUNS["runs"]:
        image = Image.fromarray(UPSTREAM_ARRAYS["image"])
        target = BoxList(torch.from_numpy(UPSTREAM_ARRAYS["boxes"]), image.size)
        tensor, target = transforms(image, target, rng)
        assert list(tensor.shape) == run["shape"]
        torch.testing.assert_close(target.bbox, torch.tensor(run["boxes"]), rtol=1e-6, atol=1e-4)
        assert tensor.sum().item() == pytest.approx(run["pixel_sum"], rel=1e-5)
        assert tensor[:, 0, 0].tolist() == pytest.approx(run["corner"], abs=1e-4)


@pytest.mark.parametrize("case", load_vector("multiscale_resize", "vectors_upstream")[0]["cases"])
def test_sizes_are_drawn_as_upstreams(case):
    resize, rng = Resize(case["min_sizes"], case["max_size"]), random.Random()
    rng.seed(case["python_random_seed"])
    for step in case["sequence"]:
        image, _ = resize(Image.new("L", tuple(step["input_wh"])), None, rng)
        assert [image.size[1], image.size[0]] == step["output_hw"]


def test_tensors_are_torchvisions_bit_for_bit():
    """Every value of every channel, normalized in both ways."""
    pixels = np.arange(768, dtype=np.int64).reshape(16, 16, 3) * 7 % 256
    image = Image.fromarray(pixels.astype(np.uint8))
    plain = F.to_tensor(image)
    ours, _ = ToTensor()(image)
    assert torch.equal(ours, plain)
    assert len(plain[0].unique()) == 256
    for to_bgr255, std in ((True, [1, 1, 1]), (False, [0.2, 0.3, 0.4])):
        expected = F.normalize(plain[[2, 1, 0]] * 255 if to_bgr255 else plain, MEAN, std)
        found, _ = Normalize(MEAN, std, to_bgr255=to_bgr255)(ours)
        assert torch.equal(found, expected)
        assert torch.equal(ours, plain)  # not changed in place


def test_a_deviation_of_zero_is_refused():
    with pytest.raises(ValueError, match=r"std \[1, 0, 1\] has a 0"):
        Normalize(MEAN, [1, 0, 1])


def test_padding_is_zero_beside_and_below():
    images = [torch.full((3, 5, 9), 7.0), torch.full((3, 8, 4), 5.0)]
    torch.utils.deterministic.fill_uninitialized_memory = True  # NaN instead of what was there
    torch.use_deterministic_algorithms(True)
    try:
        batch = to_image_list(images, 4)
    finally:
        torch.use_deterministic_algorithms(False)
    expected = torch.zeros(2, 3, 8, 12)
    for padded, image in zip(expected, images, strict=True):
        padded[:, : image.shape[1], : image.shape[2]] = image
    assert torch.equal(batch.tensors, expected)
