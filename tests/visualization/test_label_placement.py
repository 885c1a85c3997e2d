import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrcnn_benchmark.visualization.label_placement import (
    GRID,
    _shrink,
    _window_sums,
    place_labels,
)


def _random(seed: int, count: int, size: tuple[int, int]) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 1, (count, 2, 2)) * size
    boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    sizes = np.stack([rng.integers(20, 90, count), rng.integers(10, 22, count)], axis=1)
    return sizes, boxes, rng.uniform(0, 1, (size[1], size[0]))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(0, 60),
    width=st.integers(30, 400),
    height=st.integers(12, 300),
)
def test_labels_never_overlap_and_stay_inside(
    seed: int, count: int, width: int, height: int
) -> None:
    sizes, boxes, importance = _random(seed, count, (width, height))
    corners = place_labels(sizes, boxes, importance)
    painted = np.zeros((height, width), int)
    for (x, y), (w, h) in zip(corners, sizes, strict=True):
        if x >= 0:
            assert x + w <= width
            assert y + h <= height
            painted[y : y + h, x : x + w] += 1
    assert painted.max(initial=0) <= 1


def test_a_label_is_omitted_only_without_room() -> None:
    sizes = np.full((30, 2), (40, 20))
    boxes = np.tile([10.0, 10.0, 30.0, 30.0], (30, 1))
    corners = place_labels(sizes, boxes, np.zeros((100, 120)))
    placed = corners[corners[:, 0] >= 0]
    assert 0 < len(placed) < 30
    taken = np.zeros((100, 120), bool)
    for x, y in placed:
        taken[y : y + 20, x : x + 40] = True
    for y in range(0, 100 - 20 + 1, GRID):
        for x in range(0, 120 - 40 + 1, GRID):
            assert taken[y : y + 20, x : x + 40].any()
    assert (place_labels(sizes[:1], boxes[:1], np.zeros((16, 200))) == -1).all()


def test_a_free_label_sits_on_its_box() -> None:
    corners = place_labels(
        np.array([[40, 16]]), np.array([[80.0, 60.0, 160.0, 120.0]]), np.zeros((200, 240))
    )
    assert corners.tolist() == [[80, 44]]


def test_a_label_at_the_upper_border_goes_elsewhere_near() -> None:
    corners = place_labels(
        np.array([[40, 16]]), np.array([[80.0, 0.0, 160.0, 60.0]]), np.zeros((200, 240))
    )
    assert corners[0, 1] in (0, 60)


def test_labels_avoid_important_pixels() -> None:
    importance = np.zeros((200, 240))
    importance[:60] = 1.0
    corners = place_labels(np.array([[40, 16]]), np.array([[80.0, 60.0, 160.0, 120.0]]), importance)
    assert corners[0, 1] >= 60


def test_window_sums_and_shrink_equal_the_loops() -> None:
    values = np.random.default_rng(0).normal(size=(9, 11))
    sums = _window_sums(values, 3, 4)
    assert sums.shape == (7, 8)
    for r in range(7):
        for c in range(8):
            np.testing.assert_allclose(sums[r, c], values[r : r + 3, c : c + 4].sum())
    small = _shrink(values)
    assert small.shape == (9 // GRID, 11 // GRID)
    np.testing.assert_allclose(small[1, 1], values[GRID : 2 * GRID, GRID : 2 * GRID].mean())
