"""Pictures of single instances."""

import numpy as np
import pytest
from PIL import Image

from maskrcnn_benchmark.report.crops import (
    crop_instances,
    crop_window,
    draw_crop,
    draw_pair,
    read_annotated_image,
)
from maskrcnn_benchmark.structures.rle import encode_rle
from maskrcnn_benchmark.utils.user_error import UserError
from maskrcnn_benchmark.visualization.instances import Instances

SIZE = (200, 300)


def instance(x, y, w, h, **more):
    mask = np.zeros(SIZE, bool)
    mask[y : y + h, x : x + w] = True
    return Instances(masks=[encode_rle(mask)], **more)


def bounds(window):
    rows, columns = window
    return rows.start, rows.stop, columns.start, columns.stop


def test_the_window_has_a_margin_and_stays_inside_the_image():
    assert bounds(crop_window([instance(100, 50, 80, 20)], SIZE)) == (30, 90, 80, 200)
    assert bounds(crop_window([instance(0, 190, 4, 10)], SIZE)) == (174, 200, 0, 20)
    both = [instance(100, 50, 10, 10), instance(150, 80, 10, 10), Instances()]
    assert bounds(crop_window(both, SIZE)) == (34, 106, 84, 176)
    for nothing in ([], [Instances()], [instance(0, 0, 0, 0)]):
        assert bounds(crop_window(nothing, SIZE)) == (0, 200, 0, 300)


def test_cropped_instances_show_no_text():
    named = instance(100, 50, 80, 20, names=["<name>"], scores=np.array([0.5]))
    window = crop_window([named], SIZE)
    cropped = crop_instances(named, window, SIZE)
    mask = cropped.mask(0, (60, 120))
    assert mask.sum() == 80 * 20
    assert mask[20, 20]
    assert not mask[19, 20]
    assert cropped.names is cropped.scores is None


@pytest.mark.parametrize("long_side", [60, 480])  # smaller and larger than the part
def test_the_mask_is_drawn_where_it_is(long_side):
    image = np.zeros((*SIZE, 3), np.uint8)
    one = instance(100, 50, 80, 20)
    drawn = draw_crop(image, one, crop_window([one], SIZE), long_side=long_side)
    assert max(drawn.shape) == long_side
    factor = long_side / 120
    lit = drawn.sum(axis=2) > 60
    rows, columns = np.flatnonzero(lit.any(axis=1)), np.flatnonzero(lit.any(axis=0))
    expected = np.array([20, 40, 20, 100]) * factor
    found = np.array([rows[0], rows[-1] + 1, columns[0], columns[-1] + 1])
    assert np.abs(found - expected).max() <= 3


def test_a_pair_shows_the_annotation_on_the_left():
    image = np.zeros((*SIZE, 3), np.uint8)
    pair = draw_pair(image, instance(100, 50, 80, 40), Instances(), long_side=200)
    half = (pair.shape[1] - 6) // 2
    assert pair[:, :half].any()
    assert not pair[:, half + 6 :].any()
    assert (pair[:, half : half + 6] == 255).all()


def test_images_of_another_size_are_refused(tmp_path):
    Image.new("RGB", (30, 20), (255, 0, 0)).save(tmp_path / "a.png")
    entry = {"file_name": "a.png", "width": 30, "height": 20}
    assert read_annotated_image(tmp_path, entry).shape == (20, 30, 3)
    with pytest.raises(UserError, match=r"30 x 20 pixels, .*31 x 20: --images must be"):
        read_annotated_image(tmp_path, entry | {"width": 31})
    with pytest.raises(UserError, match=r"b\.png does not exist"):
        read_annotated_image(tmp_path, entry | {"file_name": "b.png"})
