"""Keypoints as dots, and the limbs between them, each in a color of its own."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from maskrcnn_benchmark.visualization.colors import colors_for

_SHIFT = 4  # sub-pixel bits of cv2.line and cv2.circle
_DARK, _LIGHT = (20, 20, 20), (255, 255, 255)

Picture = NDArray[np.uint8]  # [H, W, 3] RGB


def draw_skeleton(
    canvas: Picture, keypoints: NDArray[Any], skeleton: Sequence[Sequence[int]], width: int
) -> None:
    """Draw the keypoints of an instance in place; limb i has the same color in every instance.

    Args:
        canvas: uint8 RGB.
        keypoints: [K, 3] ``x, y, v`` in pixels of the canvas; those with v = 0 and their limbs are
            not drawn.
        skeleton: pairs of indices.
        width: of a line in pixels.
    """
    points = np.rint(keypoints[:, :2] * 2**_SHIFT).astype(np.int64)
    shown = keypoints[:, 2] > 0
    colors = colors_for(np.arange(len(skeleton)))
    for (start, end), color in zip(skeleton, colors.tolist(), strict=True):
        if shown[start] and shown[end]:
            ends = points[start].tolist(), points[end].tolist()
            for rgb, thickness in ((_DARK, width + 2), (tuple(color), width)):
                cv2.line(canvas, *ends, rgb, thickness, cv2.LINE_AA, _SHIFT)
    radius = max(2, width)
    for x, y in points[shown].tolist():
        for rgb, size in ((_DARK, radius + 1), (_LIGHT, radius)):
            cv2.circle(canvas, (x, y), size << _SHIFT, rgb, cv2.FILLED, cv2.LINE_AA, _SHIFT)
