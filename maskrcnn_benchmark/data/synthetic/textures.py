"""Backgrounds and surfaces of the embedded data set: float32 RGB [H, W, 3] in 0-255."""

import colorsys

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]  # [H, W, 3] RGB, 0-255
Field = NDArray[np.float32]  # [H, W]

# dark, middle and light tone of a background; muted, so that the hue of a class mark stands out
_GROUNDS = (
    ((58, 66, 44), (98, 110, 70), (150, 156, 112)),  # grass
    ((128, 108, 78), (172, 150, 114), (212, 196, 160)),  # sand
    ((70, 72, 76), (116, 118, 120), (170, 170, 168)),  # stone
    ((52, 42, 36), (94, 76, 62), (142, 120, 100)),  # bark
    ((44, 60, 72), (80, 102, 114), (134, 156, 164)),  # water
    ((160, 164, 170), (196, 200, 204), (232, 234, 236)),  # snow
    ((74, 58, 66), (122, 100, 106), (172, 152, 154)),  # heather
)
_SURFACES = (
    (232, 226, 214),
    (36, 34, 38),
    (186, 160, 128),
    (92, 74, 64),
    (150, 158, 168),
    (66, 80, 84),
    (206, 194, 150),
)


def fractal_noise(
    rng: np.random.Generator, shape: tuple[int, int], cell: float, octaves: int
) -> Field:
    """Return smooth noise whose values are spread evenly over [0, 1].

    Args:
        rng: generator, which is advanced.
        shape: (height, width) of the result.
        cell: width of the largest features, in pixels.
        octaves: number of layers, each of half the cell size and 0.55 of the strength of the last.
    """
    height, width = shape
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        step = max(cell / 2**octave, 1.0)
        grid = rng.random((int(height / step) + 3, int(width / step) + 3), dtype=np.float32)
        size = (int(grid.shape[1] * step) + 1, int(grid.shape[0] * step) + 1)
        layer = cv2.resize(grid, size, interpolation=cv2.INTER_CUBIC)
        total += layer[:height, :width] * np.float32(0.55**octave)
    low, high = float(total.min()), float(total.max())
    levels = ((total - low) * (4095 / max(high - low, 1e-6))).astype(np.int32)
    ranks = np.cumsum(np.bincount(levels.ravel(), minlength=4096)) / total.size
    return ranks.astype(np.float32)[levels]


class Ground:
    """A family of textures with common tones and grain, so that samples are easily confused."""

    def __init__(self, rng: np.random.Generator) -> None:
        tones = np.array(_GROUNDS[int(rng.integers(len(_GROUNDS)))], np.float32)
        self.tones = tones + rng.uniform(-12, 12, (1, 3)).astype(np.float32)  # [3, 3]
        self.cell = float(rng.uniform(14, 60))
        self.octaves = int(rng.integers(3, 6))
        self.grain = float(rng.uniform(3, 12))
        self.stripes = float(rng.uniform(0.05, 0.3)) if rng.random() < 0.3 else 0.0
        self.angle = float(rng.uniform(0, np.pi))
        self.period = float(rng.uniform(5, 14))

    def paint(self, rng: np.random.Generator, shape: tuple[int, int]) -> Image:
        """Return a sample of the texture; ``shape`` is (height, width)."""
        noise = fractal_noise(rng, shape, self.cell, self.octaves)
        if self.stripes:
            y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
            phase = (x * np.cos(self.angle) + y * np.sin(self.angle)) / self.period + 2 * noise
            noise = np.clip(noise + self.stripes * np.sin(2 * np.pi * phase), 0, 1).astype(
                np.float32
            )
        stops = np.array([0.0, 0.5, 1.0])
        image = np.stack([np.interp(noise, stops, self.tones[:, c]) for c in range(3)], axis=-1)
        grain = rng.normal(0, self.grain, (*shape, 1))
        return (image + grain).astype(np.float32)

    def unlike(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Return a muted color [3] that differs clearly from the middle tone of the background."""
        colors = np.array(_SURFACES, np.float32) + rng.uniform(-14, 14, (1, 3)).astype(np.float32)
        distance = np.abs(colors - self.tones[1]).mean(axis=1)
        far = np.flatnonzero(distance >= min(60.0, float(distance.max())))
        return colors[int(rng.choice(far))]


def mark_color(class_index: int, num_classes: int, strength: float) -> NDArray[np.float32]:
    """Return the color [3] of a class: its own hue, grayer as ``strength`` in [0, 1] falls."""
    rgb = colorsys.hsv_to_rgb(class_index / num_classes, 0.95, 0.95)
    return np.array(rgb, np.float32) * 255 * strength + np.float32(128) * (1 - strength)


def smoothstep(values: Field, low: float, high: float) -> Field:
    """Return 0 below ``low``, 1 above ``high``, and a smooth rise between."""
    t = np.clip((values - low) / (high - low), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)
