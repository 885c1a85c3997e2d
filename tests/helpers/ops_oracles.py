"""Slow, obvious NumPy versions of the operators, written from their definitions."""

import math
from collections.abc import Callable

import numpy as np


def iou(a: np.ndarray, b: np.ndarray, offset: float = 1.0) -> float:
    """IoU of two boxes x1, y1, x2, y2 that are x2 - x1 + offset wide."""
    width = max(min(a[2], b[2]) - max(a[0], b[0]) + offset, 0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]) + offset, 0)
    areas = [(box[2] - box[0] + offset) * (box[3] - box[1] + offset) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


def nms(
    boxes: np.ndarray,
    scores: np.ndarray,
    threshold: float,
    groups: np.ndarray | None = None,
    offset: float = 1.0,
    *,
    max_keep: int = 0,
) -> list[int]:
    """Kept indices by descending score, NaN last; a box goes when its IoU with a kept one is above.

    The arithmetic is in the dtype of the boxes.
    """

    def rank(i: int) -> tuple[float, int]:
        return math.inf if math.isnan(scores[i]) else -scores[i], i

    groups = np.zeros(len(boxes)) if groups is None else groups
    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=rank):
        rivals = [k for k in kept if groups[k] == groups[i]]
        if 0 < max_keep <= len(rivals):
            continue
        # an IoU of NaN is not above
        if threshold <= 0 or not any(iou(boxes[k], boxes[i], offset) > threshold for k in rivals):
            kept.append(i)
    return kept


def soft_nms(
    boxes: np.ndarray,
    scores: np.ndarray,
    factor: Callable[[float], float],
    groups: np.ndarray | None = None,
    *,
    min_score: float = 0.001,
    offset: float = 1.0,
    max_keep: int = 0,
) -> list[tuple[int, float]]:
    """The pseudo-code of the paper (figure 3): indices with new scores, by descending score.

    `factor` is what a box's score is multiplied by for its IoU with a picked one; an IoU of NaN, of
    boxes without area, changes nothing. A score of NaN is never picked.
    """
    groups = np.zeros(len(boxes)) if groups is None else groups
    current = [float(score) for score in scores]
    picked: list[tuple[int, float]] = []
    while True:
        indices = {i for i, _ in picked}
        full = {g for g in groups if 0 < max_keep <= sum(groups[i] == g for i in indices)}
        left = [i for i in range(len(boxes)) if i not in indices and groups[i] not in full]
        left = [i for i in left if current[i] >= min_score]
        if not left:
            return picked
        best = max(left, key=lambda i: (current[i], float(scores[i]), -i))
        picked.append((best, current[best]))
        for i in range(len(boxes)):
            if i != best and i not in indices and groups[i] == groups[best]:
                overlap = iou(boxes[best], boxes[i], offset)
                current[i] *= 1.0 if math.isnan(overlap) else factor(overlap)


def _axis_weights(position: float, size: int) -> np.ndarray:
    """The share of each of `size` cells in a sample at a position: a triangle of width 2."""
    if position < -1 or position > size:
        return np.zeros(size)
    position = min(max(position, 0), size - 1)
    return np.maximum(1 - np.abs(np.arange(size) - position), 0)


def _bin_weights(start: float, bin_size: float, index: int, samples: int, size: int) -> np.ndarray:
    weights = np.zeros(size)
    for i in range(samples):
        weights += _axis_weights(start + index * bin_size + (i + 0.5) * bin_size / samples, size)
    return weights / max(samples, 1)


def roi_align(
    features: np.ndarray,
    rois: np.ndarray,
    output_size: tuple[int, int],
    scale: float,
    sampling_ratio: int,
    aligned: bool = False,
) -> np.ndarray:
    """[R, C, h, w] as a product of weights per axis, in float64; NaN where training diverged."""
    features, rois = features.astype(np.float64), rois.astype(np.float64)
    (height, width), (rows, columns) = output_size, features.shape[2:]
    result = np.zeros((len(rois), features.shape[1], height, width))
    for k, roi in enumerate(rois):
        x1, y1, x2, y2 = roi[1:] * scale - (0.5 if aligned else 0)
        least = -math.inf if aligned else 1
        bin_h, bin_w = max(y2 - y1, least) / height, max(x2 - x1, least) / width
        if not (np.isfinite(roi).all() and max(abs(bin_h), abs(bin_w)) < 1 << 15):
            result[k] = np.nan
            continue
        n_y = sampling_ratio if sampling_ratio > 0 else math.ceil(bin_h)
        n_x = sampling_ratio if sampling_ratio > 0 else math.ceil(bin_w)
        for i in range(height):
            for j in range(width):
                wy = _bin_weights(y1, bin_h, i, n_y, rows)
                wx = _bin_weights(x1, bin_w, j, n_x, columns)
                result[k, :, i, j] = wy @ features[int(roi[0])] @ wx
    return result


def _round_half_away(value: float) -> int:
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


def roi_pool(
    features: np.ndarray, rois: np.ndarray, output_size: tuple[int, int], scale: float
) -> np.ndarray:
    """[R, C, h, w]: maxima over whole cells, both corners inclusive, 0 for an empty bin."""
    (height, width), (rows, columns) = output_size, features.shape[2:]
    result = np.zeros((len(rois), features.shape[1], height, width), features.dtype)
    for k, roi in enumerate(rois):
        x1, y1, x2, y2 = (_round_half_away(float(v) * scale) for v in roi[1:])
        bin_h, bin_w = max(y2 - y1 + 1, 1) / height, max(x2 - x1 + 1, 1) / width
        for i in range(height):
            for j in range(width):
                top, bottom = y1 + math.floor(i * bin_h), y1 + math.ceil((i + 1) * bin_h)
                left, right = x1 + math.floor(j * bin_w), x1 + math.ceil((j + 1) * bin_w)
                cells = features[
                    int(roi[0]),
                    :,
                    min(max(top, 0), rows) : min(max(bottom, 0), rows),
                    min(max(left, 0), columns) : min(max(right, 0), columns),
                ]
                if cells.size:
                    result[k, :, i, j] = cells.max((1, 2))
    return result
