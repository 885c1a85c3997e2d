"""Distinguishable colors, also for most color-blind readers."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_PALETTE_SIZE = 96  # COCO's category ids go to 90
_LINEAR_TO_LMS = np.array(  # Ottosson 2020, the OKLab color space
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_LMS_TO_OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
_DEUTERANOPIA = np.array(  # Machado, Oliveira and Fernandes 2009, severity 1, linear RGB
    [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]
)

Floats = NDArray[np.float64]


def _to_linear(rgb: Floats) -> Floats:
    """Return linear RGB of sRGB values in [0, 1]."""
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def _linear_to_oklab(linear: Floats) -> Floats:
    return np.cbrt(linear @ _LINEAR_TO_LMS.T) @ _LMS_TO_OKLAB.T


def oklab(rgb: NDArray[np.uint8]) -> Floats:
    """Return OKLab of sRGB [..., 3] in 0-255; its distances are close to perceived differences."""
    return _linear_to_oklab(_to_linear(np.asarray(rgb, np.float64) / 255))


def oklab_deuteranopia(rgb: NDArray[np.uint8]) -> Floats:
    """Return ``oklab`` as seen with the most common strong color blindness."""
    linear = _to_linear(np.asarray(rgb, np.float64) / 255) @ _DEUTERANOPIA.T
    return _linear_to_oklab(np.clip(linear, 0, 1))


@lru_cache(maxsize=1)
def palette() -> NDArray[np.uint8]:
    """Return [96, 3] RGB colors, each as far as possible from all before it."""
    levels = np.linspace(0, 255, 16).round().astype(np.uint8)
    candidates = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, 3)
    seen = oklab(candidates)
    chroma = np.hypot(seen[:, 1], seen[:, 2])
    vivid = (seen[:, 0] > 0.52) & (seen[:, 0] < 0.88) & (chroma > 0.11)
    candidates, seen = candidates[vivid], seen[vivid]
    blind = oklab_deuteranopia(candidates)
    chosen = [int(np.argmin(np.abs(candidates.astype(int) - (0, 119, 255)).sum(axis=1)))]
    nearest = np.full(len(candidates), np.inf)
    while len(chosen) < _PALETTE_SIZE:
        gap = np.linalg.norm(seen - seen[chosen[-1]], axis=1)
        blind_gap = np.linalg.norm(blind - blind[chosen[-1]], axis=1)
        nearest = np.minimum(nearest, 0.5 * gap + 0.5 * np.minimum(gap, blind_gap))
        chosen.append(int(np.argmax(nearest)))
    return candidates[chosen]


def colors_for(keys: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return [N, 3] RGB colors of N integers; an integer has the same color in every image."""
    return palette()[np.asarray(keys, np.int64) % _PALETTE_SIZE]


def ink_on(color: NDArray[np.uint8]) -> tuple[int, int, int]:
    """Return black or white, whichever is legible on a background color [3]."""
    return (0, 0, 0) if float(oklab(color)[0]) > 0.68 else (255, 255, 255)
