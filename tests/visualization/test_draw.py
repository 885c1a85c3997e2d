import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrcnn_benchmark.visualization import Instances, draw_instances
from maskrcnn_benchmark.visualization.colors import palette
from maskrcnn_benchmark.visualization.draw import layout_labels


def _square(size: tuple[int, int], y: int, x: int, side: int) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[y : y + side, x : x + side] = True
    return mask


def _gray(height: int = 120, width: int = 160) -> np.ndarray:
    return np.full((height, width, 3), 100, np.uint8)


def test_fill_is_the_blend_inside_and_nothing_outside() -> None:
    image = _gray()
    mask = _square((120, 160), 30, 40, 50)
    drawn = draw_instances(image, Instances(masks=mask[None]), long_side=1, opacity=0.5)
    assert drawn.shape == image.shape
    assert (drawn[35:75, 45:85] == np.rint((100 + palette()[0].astype(float)) / 2)).all()
    away = np.ones((120, 160), bool)
    away[24:86, 34:96] = False
    assert (drawn[away] == 100).all()
    assert (image == 100).all()


def test_contour_follows_the_border_and_goes_round_holes() -> None:
    mask = _square((120, 160), 20, 30, 80) & ~_square((120, 160), 40, 50, 40)
    drawn = draw_instances(_gray(), Instances(masks=mask[None]), long_side=1, opacity=0.0)
    touched = (drawn != 100).any(axis=-1)
    for y, x in ((60, 30), (60, 109), (20, 70), (60, 49), (60, 90), (39, 70)):
        assert touched[max(y - 2, 0) : y + 3, x - 2 : x + 3].any()
    assert not touched[45:75, 55:85].any()
    assert not touched[27:33, 60:80].any()


def test_small_pictures_are_enlarged_and_large_ones_are_not_shrunk() -> None:
    instances = Instances(masks=np.zeros((0, 60, 90), bool))
    assert draw_instances(_gray(60, 90), instances, long_side=900).shape == (600, 900, 3)
    assert draw_instances(_gray(60, 90), instances, long_side=50).shape == (60, 90, 3)


def test_no_instances_and_empty_masks_change_nothing() -> None:
    image = _gray()
    for instances in (
        Instances(),
        Instances(masks=np.zeros((2, 120, 160), bool), names=["a", "b"]),
    ):
        assert (draw_instances(image, instances, long_side=1) == image).all()


def test_a_small_instance_stays_on_top_of_a_large_one() -> None:
    small, large = _square((120, 160), 50, 60, 20), _square((120, 160), 20, 30, 80)
    for masks, index in (([small, large], 0), ([large, small], 1)):
        drawn = draw_instances(_gray(), Instances(masks=masks), long_side=1, opacity=1.0)
        assert (drawn[60, 70] == palette()[index]).all()


def test_color_by_class() -> None:
    masks = [_square((120, 160), 10, 10, 30), _square((120, 160), 70, 90, 30)]
    instances = Instances(masks=masks, labels=np.array([3, 3]))
    by_class = draw_instances(_gray(), instances, color_by="class", long_side=1)
    assert (by_class[25, 25] == by_class[85, 105]).all()
    by_instance = draw_instances(_gray(), instances, long_side=1)
    assert (by_instance[25, 25] != by_instance[85, 105]).any()


def test_wrong_images_are_refused() -> None:
    with pytest.raises(ValueError, match="uint8"):
        draw_instances(np.zeros((10, 10, 3)), Instances())
    with pytest.raises(ValueError, match=r"\(10, 10\)"):
        draw_instances(np.zeros((10, 10), np.uint8), Instances())


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(0, 80),
    shape=st.sampled_from([(900, 1200), (1200, 400), (200, 1200)]),
)
def test_laid_out_labels_never_cover_each_other(
    seed: int, count: int, shape: tuple[int, int]
) -> None:
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 1, (count, 2, 2)) * (shape[1], shape[0])
    boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    words = ["cup", "traffic light", "", "person"]
    texts = [f"{w} cls 0.98 · mask 0.71" if w else "" for w in rng.choice(words, count)]
    labels, size = layout_labels(texts, boxes, np.zeros(shape))
    assert size >= 11
    covered = np.zeros(shape, np.int32)
    for text, label in zip(texts, labels, strict=True):
        if not text:
            assert label is None
        if label is not None:
            assert label.text == text
            x, y, w, h = label.rectangle
            assert x >= 0
            assert y >= 0
            assert x + w <= shape[1]
            assert y + h <= shape[0]
            covered[y : y + h, x : x + w] += 1
    assert covered.max(initial=0) <= 1


def test_ten_labels_on_one_spot_all_find_room() -> None:
    boxes = np.tile([500.0, 400.0, 540.0, 430.0], (10, 1))
    labels, _ = layout_labels(["person cls 0.98 · mask 0.71"] * 10, boxes, np.zeros((900, 1200)))
    assert all(label is not None for label in labels)


def test_the_best_instances_keep_their_labels() -> None:
    size = (100, 100)
    masks = [_square(size, 5 * (i // 10) * 2, 10 * (i % 10), 8) for i in range(100)]
    boxes = np.array([[0.0, 0.0, 80.0, 80.0]] * 100)
    labels, _ = layout_labels(["nucleus cls 0.90 · mask 0.80"] * 100, boxes, np.zeros((500, 500)))
    kept = [label is not None for label in labels]
    assert kept[0]
    assert not kept[-1]
    scores = np.linspace(0.1, 1, 100)
    instances = Instances(masks=masks, names=["nucleus"] * 100, scores=scores, mask_ious=scores)
    assert draw_instances(np.zeros((*size, 3), np.uint8), instances, long_side=500).shape[0] == 500
