"""Color jitter against recorded images; large-scale jitter against its invariants."""

import random

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms as T

from maskrcnn_benchmark.config import cfg, check_config
from maskrcnn_benchmark.data.transforms import ColorJitter, LargeScaleJitter, build_transforms
from maskrcnn_benchmark.data.transforms.color_jitter import adjust_colors
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.segmentation_mask import SegmentationMask
from tests.helpers.vectors import load_vector

META, ARRAYS = load_vector("color_jitter", "vectors_upstream")
NAMES = ("brightness", "contrast", "saturation", "hue")
VALUES = {"brightness": 0.2, "contrast": 0.3, "saturation": 0.4, "hue": 0.1}
RANGES = next(iter(META["arguments"]["ranges"].values()))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_colors_match_the_recorded_ones(seed):
    torch.manual_seed(seed)
    order, *factors = T.ColorJitter.get_params(*(RANGES[name] for name in NAMES))
    steps = [(NAMES[i], factors[i]) for i in order]
    changed = np.asarray(adjust_colors(Image.fromarray(ARRAYS["image"]), steps))
    difference = np.abs(changed[::4, ::4].astype(int) - ARRAYS[f"jitter_seed{seed}"])
    assert difference.max() <= 1  # Pillow's versions round differently


def test_factors_come_from_the_recorded_ranges_in_any_order():
    jitter = ColorJitter(**VALUES)
    assert set(jitter.ranges) == set(RANGES)
    for name, limits in jitter.ranges.items():
        assert limits == pytest.approx(RANGES[name])
    image = Image.fromarray(ARRAYS["image"])
    changed = [np.asarray(jitter(image, None, random.Random(seed))[0]) for seed in range(3)]
    assert (changed[0] != changed[1]).any()
    np.testing.assert_array_equal(changed[0], jitter(image, None, random.Random(0))[0])
    rng = random.Random(0)
    off = ColorJitter()
    state = rng.getstate()
    assert off(image, None, rng)[0] is image
    rng.shuffle([])
    assert rng.getstate() == state  # nothing is drawn
    brighter = ColorJitter(brightness=3.0)
    assert brighter.ranges == {"brightness": (0.0, 4.0)}


def scene():
    """Return a black 100 x 60 image with a white 20 x 20 square at (40, 10), box and masks."""
    pixels = np.zeros((60, 100, 3), dtype=np.uint8)
    pixels[10:30, 40:60] = 255
    polygon = [[40, 10, 60, 10, 60, 30, 40, 30]]
    target = BoxList([[40, 10, 59, 29], [40, 10, 59, 29]], (100, 60))
    target.add_field("labels", torch.tensor([1, 2]))
    target.add_field("masks", SegmentationMask([polygon, pixels[..., 0] // 255], (100, 60)))
    return Image.fromarray(pixels), target


@pytest.mark.parametrize("scale", [0.3, 0.7, 1.0, 1.6, 2.0])
def test_image_boxes_and_masks_stay_together(scale):
    jitter = LargeScaleJitter(80, (scale, scale), fill=(9, 9, 9))
    seen = 0
    for seed in range(8):
        image, target = jitter(*scene(), random.Random(seed))
        assert image.size == target.size == (80, 80)
        pixels = np.asarray(image).astype(int)
        masks = target.get_field("masks").decode()
        seen += len(target)
        for box, mask in zip(target.bbox.tolist(), masks, strict=True):
            ys, xs = np.nonzero(pixels[..., 0] > 128)
            found = [xs.min(), ys.min(), xs.max(), ys.max()]
            assert np.abs(np.subtract(found, box)).max() <= 2
            assert (mask != (pixels[..., 0] > 128)).mean() < 0.03
    assert 0 < seen <= 16
    assert seen == 16 or scale > 1  # a part is cropped


def test_a_small_image_is_placed_in_a_corner_of_the_padding():
    image, target = LargeScaleJitter(80, (0.5, 0.5), fill=(1, 2, 3))(*scene())
    pixels = np.asarray(image)
    assert (pixels[24:] == (1, 2, 3)).all()
    assert (pixels[:, 40:] == (1, 2, 3)).all()
    assert not (pixels[:24, :40] == (1, 2, 3)).all(axis=2).any()
    torch.testing.assert_close(target.bbox[0], torch.tensor([40, 10, 59, 29]) * 0.4)


class LastPlace(random.Random):
    """Random generator that crops at the lower right corner."""

    def randint(self, a, b):
        return b


def test_objects_cropped_away_are_dropped():
    image = Image.new("RGB", (100, 100))
    polygons = [
        [[0, 0, 30, 0, 30, 30, 0, 30]],  # outside of the cut, which is the lower right
        [[60, 60, 90, 60, 90, 90, 60, 90]],
        # an L whose box reaches into the crop while its mask does not
        [[10, 90, 45, 90, 45, 95, 10, 95], [90, 0, 95, 0, 95, 45, 90, 45]],
    ]
    boxes = [[0, 0, 29, 29], [60, 60, 89, 89], [10, 0, 94, 94]]
    target = BoxList(boxes, (100, 100))
    target.add_field("labels", torch.tensor([1, 2, 3]))
    target.add_field("masks", SegmentationMask(polygons, (100, 100)))

    _, cut = LargeScaleJitter(100, (2.0, 2.0))(image, target, LastPlace(0))
    assert cut.get_field("labels").tolist() == [2]
    assert cut.bbox.tolist() == [[20, 20, 78, 78]]
    boxes_only = target.copy_with_fields("labels")
    _, cut = LargeScaleJitter(100, (2.0, 2.0))(image, boxes_only, LastPlace(0))
    assert cut.get_field("labels").tolist() == [2, 3]


def test_an_instance_without_a_mask_is_judged_by_its_box():
    image = Image.new("RGB", (100, 100))
    boxes = [[0, 0, 29, 29], [60, 60, 89, 89], [60, 60, 89, 89]]
    target = BoxList(boxes, (100, 100))
    target.add_field("labels", torch.tensor([1, 2, 3]))
    target.add_field("masks", SegmentationMask([None, None, np.zeros((100, 100))], (100, 100)))

    _, cut = LargeScaleJitter(100, (2.0, 2.0))(image, target, LastPlace(0))
    assert cut.get_field("labels").tolist() == [2]
    assert cut.bbox.tolist() == [[20, 20, 78, 78]]
    assert cut.get_field("masks").present().tolist() == [False]


def test_hundreds_of_objects():
    corners = torch.tensor([[3.0 * (i % 20), 3.0 * (i // 20)] for i in range(300)])
    target = BoxList(torch.cat([corners, corners + 1], dim=1), (60, 60))
    outlines = [[[x, y, x + 2, y, x + 2, y + 2, x, y + 2]] for x, y in corners.tolist()]
    target.add_field("masks", SegmentationMask(outlines, (60, 60)))
    _, same = LargeScaleJitter(60, (1.0, 1.0))(Image.new("RGB", (60, 60)), target)
    assert same.get_field("masks").areas().tolist() == [4] * 300


def test_empty_targets_and_images_without():
    empty = BoxList([], (100, 60))
    empty.add_field("masks", SegmentationMask([], (100, 60)))
    image, target = LargeScaleJitter(32)(Image.new("RGB", (100, 60)), empty, random.Random(0))
    assert image.size == target.size == (32, 32)
    assert len(target.get_field("masks")) == 0
    assert LargeScaleJitter(32)(Image.new("RGB", (1, 900)), None)[0].size == (32, 32)


def test_the_configuration_applies_to_training_only():
    config = cfg.clone()
    config.merge_from_list(
        ["INPUT.LARGE_SCALE_JITTER.ENABLED", True, "INPUT.LARGE_SCALE_JITTER.SIZE", 64]
        + ["INPUT.LARGE_SCALE_JITTER.SCALES", (0.5, 0.5), "INPUT.HUE", 0.2]
        + ["INPUT.HORIZONTAL_FLIP_PROB_TRAIN", 0.0, "INPUT.MIN_SIZE_TEST", 30]
    )
    image, _ = scene()
    train, _ = build_transforms(config)(image, None, random.Random(0))
    assert train.shape == (3, 64, 64)
    assert train[:, 40:].abs().max() <= 0.5  # the padding is the mean
    test, _ = build_transforms(config, is_train=False)(image)
    assert test.shape == (3, 30, 50)


@pytest.mark.parametrize("name", NAMES)
def test_each_key_changes_one_property(name):
    """On an image of gray and color in equal parts, against the definition of each change."""
    config = cfg.clone()
    config.merge_from_list([f"INPUT.{name.upper()}", 0.4, "INPUT.HORIZONTAL_FLIP_PROB_TRAIN", 0.0])
    config.merge_from_list(["INPUT.MIN_SIZE_TRAIN", 20, "INPUT.PIXEL_MEAN", [0.0, 0.0, 0.0]])
    pixels = np.zeros((20, 20, 3), dtype=np.uint8)
    pixels[:10], pixels[10:] = (60, 60, 60), (120, 60, 60)
    jittered, _ = build_transforms(config)(Image.fromarray(pixels), None, random.Random(1))
    blue, green, red = jittered.numpy().round()
    gray, color = pixels[0, 0].astype(float), pixels[15, 0].astype(float)
    got_gray, got_color = (np.array([c[row, 5] for c in (red, green, blue)]) for row in (3, 16))
    draw = random.Random(1).uniform
    factor = draw(-0.4, 0.4) if name == "hue" else draw(0.6, 1.4)
    assert abs(factor - (name != "hue")) > 0.05
    lightness = [60.0, 0.299 * 120 + 0.701 * 60]
    if name == "brightness":
        expected = factor * gray, factor * color
    elif name == "contrast":
        mean = sum(lightness) / 2
        expected = mean + factor * (gray - mean), mean + factor * (color - mean)
    elif name == "saturation":
        expected = gray, lightness[1] + factor * (color - lightness[1])
    else:
        assert (got_gray == gray).all() and sorted(got_color)[0] == 60 == color.min()
        assert max(got_color) == 120 and (got_color != color).any()
        return
    np.testing.assert_allclose((got_gray, got_color), expected, atol=1.5)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("HUE", 0.6),
        ("BRIGHTNESS", -0.1),
        ("VERTICAL_FLIP_PROB_TRAIN", 1.5),
        ("LARGE_SCALE_JITTER.SCALES", (2.0, 0.1)),
        ("LARGE_SCALE_JITTER.SCALES", (0.1,)),
        ("LARGE_SCALE_JITTER.SIZE", 0),
    ],
)
def test_impossible_values_are_named(key, value):
    config = cfg.clone()
    config.merge_from_list([f"INPUT.{key}", value])
    with pytest.raises(ValueError, match=rf"INPUT.{key.partition('.')[0]}"):
        check_config(config)
