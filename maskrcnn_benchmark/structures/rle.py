"""COCO run length encodings of masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

_AT_ONCE = 255  # pycocotools keeps the number of masks in a uint8, which NumPy 2 refuses to wrap


def rle_areas(rles: Sequence[dict[str, Any]]) -> NDArray[np.int64]:
    """Return the number of pixels of each compressed RLE, ``[N]``; there may be any number."""
    areas = np.zeros(len(rles), dtype=np.int64)
    for start in range(0, len(rles), _AT_ONCE):
        areas[start : start + _AT_ONCE] = coco_mask.area(list(rles[start : start + _AT_ONCE]))
    return areas
