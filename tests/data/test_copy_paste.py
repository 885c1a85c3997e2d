"""Simple copy-paste: pixels, masks and boxes stay together."""

import random

import numpy as np
import pytest
import torch
from PIL import Image

from maskrcnn_benchmark.data.build import make_data_loader
from maskrcnn_benchmark.data.datasets import COCODataset
from maskrcnn_benchmark.data.datasets.copy_paste import CopyPaste, paste_objects
from maskrcnn_benchmark.data.seeded_index import SeededIndex
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.segmentation_mask import SegmentationMask
from tests.config.test_every_key import AS_IT_IS, DATA, PLAIN
from tests.data.helpers import square, write_coco
from tests.helpers.every_key import config_with


def drawn(size, objects, pixel_offset=1):
    """Return an image with rectangles, each in a color of its own, and its target.

    Args:
        size: ``(width, height)``.
        objects: ``(x1, y1, x2, y2, label)``, x2 and y2 exclusive; the color is ``10 x label``.
        pixel_offset: convention of the boxes.
    """
    width, height = size
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    masks = []
    for x1, y1, x2, y2, label in objects:
        pixels[y1:y2, x1:x2] = 10 * label
        mask = np.zeros((height, width), dtype=np.uint8)
        mask[y1:y2, x1:x2] = 1
        masks.append(mask)
    boxes = [[x1, y1, x2 - pixel_offset, y2 - pixel_offset] for x1, y1, x2, y2, _ in objects]
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    target = BoxList(boxes, size, pixel_offset=pixel_offset)
    target.add_field("labels", torch.tensor([o[4] for o in objects], dtype=torch.int64))
    target.add_field("masks", SegmentationMask(masks, size, pixel_offset=pixel_offset))
    return Image.fromarray(pixels), target


@pytest.mark.parametrize("pixel_offset", [0, 1])
def test_masks_boxes_and_pixels_agree(pixel_offset):
    below = [(2, 2, 12, 12, 1), (20, 2, 24, 6, 2), (0, 20, 30, 24, 3)]
    above = [(7, 0, 40, 8, 4), (0, 35, 5, 50, 5)]
    image, target = drawn((30, 40), below, pixel_offset)
    made, merged = paste_objects(image, target, *drawn((40, 60), above, pixel_offset))
    # the second object is covered wholly, the pasted ones are cut off at the border
    assert merged.get_field("labels").tolist() == [1, 3, 4, 5]
    pixels = np.asarray(made)[..., 0]
    for label, mask, box in zip(
        merged.get_field("labels").tolist(),
        merged.get_field("masks").decode() > 0,
        merged.bbox.tolist(),
        strict=True,
    ):
        np.testing.assert_array_equal(mask, pixels == 10 * label)
        ys, xs = mask.nonzero()
        past = 1 - pixel_offset
        assert box == [xs.min(), ys.min(), xs.max() + past, ys.max() + past]
    assert merged.size == made.size == (30, 40)
    assert merged.pixel_offset == pixel_offset
    np.testing.assert_array_equal(np.asarray(image), np.asarray(drawn((30, 40), below)[0]))


def test_untouched_objects_keep_their_polygon_and_box():
    image, _ = drawn((30, 40), [])
    target = BoxList([[1.25, 2.5, 9.75, 8.5]], (30, 40))
    target.add_field("labels", torch.tensor([7]))
    polygon = [[1.25, 2.5, 9.75, 2.5, 9.75, 8.5]]
    target.add_field("masks", SegmentationMask([polygon], (30, 40)))
    _, merged = paste_objects(image, target, *drawn((30, 40), [(15, 15, 20, 20, 1)]))
    assert merged.bbox[0].tolist() == [1.25, 2.5, 9.75, 8.5]
    assert merged.get_field("masks").instances[0] is target.get_field("masks").instances[0]


def test_objects_without_a_mask_are_not_pasted_and_stay():
    image, target = drawn((30, 40), [(2, 2, 12, 12, 1)])
    other, of_other = drawn((30, 40), [(0, 0, 20, 20, 2)])
    nothing = SegmentationMask([None], (30, 40))
    of_other.add_field("masks", nothing)
    assert paste_objects(image, target, other, of_other) == (image, target)
    target.add_field("masks", nothing)
    _, of_other = drawn((30, 40), [(0, 0, 20, 20, 2)])
    _, merged = paste_objects(image, target, other, of_other)
    assert merged.get_field("labels").tolist() == [1, 2]
    assert merged.bbox[0].tolist() == [2, 2, 11, 11]


@pytest.mark.parametrize("side", ["image", "other"])
def test_without_objects(side):
    filled, empty = drawn((30, 40), [(2, 2, 12, 12, 1)]), drawn((30, 40), [])
    first, second = (empty, filled) if side == "image" else (filled, empty)
    _, merged = paste_objects(*first, *second)
    assert merged.get_field("labels").tolist() == [1]


@pytest.fixture
def files(tmp_path):
    objects = [square(2 * i, 2 * i, 6) for i in range(6)]
    return write_coco(tmp_path, [(30, 30, objects)] * 4)


def test_probability_seed_and_share(files):
    seen = []

    def look(image, target, rng=None):
        del rng
        seen.append(target.get_field("masks").areas().tolist())
        return image, target

    def areas(probability, seed):
        seen.clear()
        dataset = CopyPaste(COCODataset(*files), probability, look)
        assert len(dataset) == 4
        assert dataset.get_img_info(1) == dataset.dataset.get_img_info(1)
        for i in range(300):
            dataset[SeededIndex(i % 4, f"{seed}/{i}")]
        return list(seen)

    untouched = [36] * 6
    assert areas(0.0, 0) == [untouched] * 300
    half = areas(0.5, 0)
    assert half == areas(0.5, 0)  # a function of the seed
    assert half != areas(0.5, 1)
    assert half.count(untouched) / 300 == pytest.approx(0.5, abs=0.08)


def test_half_of_the_objects_are_pasted(tmp_path):
    here = [square(0, 0, 4)]
    there = [square(8 * (i % 4) + 4, 8 * (i // 4), 3) for i in range(8)]
    dataset = CopyPaste(
        COCODataset(*write_coco(tmp_path, [(40, 40, here), (40, 40, there)])),
        1.0,
        lambda image, target, rng=None: (image, target),
    )
    rng = random.Random(0)
    counts = [len(dataset[SeededIndex(1, f"{rng.random()}")][1]) for _ in range(200)]
    # the other image is either the same one or that with the eight objects, half of which come
    assert max(counts) > 5
    assert np.mean(counts) == pytest.approx(1 + 0.5 * 4, abs=0.4)


def test_data_without_masks_is_refused(tmp_path):
    box = square(2, 2, 6)
    del box["segmentation"]
    dataset = COCODataset(*write_coco(tmp_path, [(30, 30, [box])]))
    with pytest.raises(ValueError, match="set INPUT.COPY_PASTE 0"):
        CopyPaste(dataset, 0.5, None)


def test_the_loader_pastes_before_it_normalizes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    here, there = [square(0, 0, 4)], [square(16, 16, 4)]
    for name in ("cats", "dogs"):
        (tmp_path / name).mkdir()
        write_coco(tmp_path / name, [(30, 30, here), (30, 30, there)])
    keys = {**DATA, **AS_IT_IS, **PLAIN, "SOLVER.MAX_ITER": 10, "INPUT.COPY_PASTE": 1.0}
    found = [
        (images, target)
        for images, targets, _ in make_data_loader(config_with(keys))
        for target in targets
    ]
    assert {len(target) for _, target in found} == {1, 2}
    assert all(images.tensors.dtype == torch.float32 for images, _ in found)
