import numpy as np
import pytest

from maskrcnn_benchmark.visualization.colors import (
    colors_for,
    ink_on,
    oklab,
    oklab_deuteranopia,
    palette,
)


def _nearest(points: np.ndarray) -> float:
    gaps = np.linalg.norm(points[:, None] - points[None], axis=-1)
    return float(gaps[~np.eye(len(points), dtype=bool)].min())


@pytest.mark.parametrize(
    ("rgb", "expected"),  # values published with the definition of OKLab
    [
        ((255, 255, 255), (1.0, 0.0, 0.0)),
        ((255, 0, 0), (0.628, 0.2249, 0.1258)),
        ((0, 255, 0), (0.8664, -0.2339, 0.1795)),
        ((0, 0, 255), (0.452, -0.0325, -0.3115)),
    ],
)
def test_oklab_of_known_colors(rgb: tuple, expected: tuple) -> None:
    np.testing.assert_allclose(oklab(np.array(rgb, np.uint8)), expected, atol=2e-3)


def test_red_and_green_are_similar_for_the_color_blind_and_gray_is_unchanged() -> None:
    red, green, gray = np.array([[200, 60, 40], [100, 110, 30], [120, 120, 120]], np.uint8)
    seen = np.linalg.norm(oklab(red) - oklab(green))
    assert np.linalg.norm(oklab_deuteranopia(red) - oklab_deuteranopia(green)) < 0.5 * seen
    np.testing.assert_allclose(oklab_deuteranopia(gray), oklab(gray), atol=1e-3)


def test_palette_is_well_separated() -> None:
    colors = palette()
    assert colors.shape == (96, 3)
    assert _nearest(oklab(colors[:8])) > 0.13
    assert _nearest(oklab(colors[:20])) > 0.08
    assert _nearest(oklab(colors[:64])) > 0.035
    assert _nearest(oklab(colors)) > 0.025
    assert _nearest(oklab_deuteranopia(colors[:8])) > 0.06


def test_colors_are_stable_and_repeat_after_the_palette() -> None:
    keys = np.array([5, 0, 5, 96 + 5])
    colors = colors_for(keys)
    assert (colors[[0, 2, 3]] == palette()[5]).all()
    assert (colors[1] == palette()[0]).all()
    assert colors_for(np.zeros(0, np.int64)).shape == (0, 3)


def test_ink_is_legible() -> None:
    assert ink_on(np.array([255, 240, 120], np.uint8)) == (0, 0, 0)
    assert ink_on(np.array([20, 30, 140], np.uint8)) == (255, 255, 255)
    for color in palette():
        ink = np.array(ink_on(color), np.uint8)
        assert abs(oklab(ink)[0] - oklab(color)[0]) > 0.3
