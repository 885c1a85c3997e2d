import colorsys

import numpy as np
import pytest

from maskrcnn_benchmark.data.synthetic.textures import (
    Ground,
    fractal_noise,
    mark_color,
    smoothstep,
)


@pytest.mark.parametrize("shape", [(40, 70), (1, 9), (33, 1)])
def test_noise_is_spread_evenly(shape: tuple[int, int]) -> None:
    noise = fractal_noise(np.random.default_rng(0), shape, 12.0, 3)
    assert noise.shape == shape
    assert noise.min() >= 0
    assert noise.max() == 1
    if min(shape) > 1:
        np.testing.assert_allclose(
            np.quantile(noise, [0.25, 0.5, 0.75]), [0.25, 0.5, 0.75], atol=0.01
        )


def test_two_samples_of_a_ground_share_tones_but_not_pixels() -> None:
    rng = np.random.default_rng(2)
    ground = Ground(rng)
    first, second = ground.paint(rng, (60, 80)), ground.paint(rng, (60, 80))
    np.testing.assert_allclose(first.mean(axis=(0, 1)), second.mean(axis=(0, 1)), atol=6)
    assert np.abs(first - second).mean() > 4
    color = ground.unlike(rng)
    assert np.abs(color - ground.tones[1]).mean() > 40


def test_mark_colors_keep_the_hue_of_the_class() -> None:
    for index in range(6):
        for strength in (0.4, 1.0):
            hue, saturation, _ = colorsys.rgb_to_hsv(*(mark_color(index, 6, strength) / 255))
            assert hue == pytest.approx(index / 6, abs=0.01) or hue == pytest.approx(1, abs=0.01)
            assert saturation > 0.3 * strength
    assert mark_color(2, 6, 0.0).tolist() == [128, 128, 128]


def test_smoothstep() -> None:
    values = np.array([-1, 0, 0.5, 1, 2], np.float32)
    assert smoothstep(values, 0.0, 1.0).tolist() == [0, 0, 0.5, 1, 1]
