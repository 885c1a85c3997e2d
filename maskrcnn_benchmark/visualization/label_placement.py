"""Place labels so that they do not overlap."""

import numpy as np
from numpy.typing import NDArray

GRID = 4  # labels are placed on a grid of this many pixels
_COVER = 60  # extra cells that a label moves to avoid hiding important pixels

Floats = NDArray[np.float64]


def _window_sums(values: Floats, rows: int, columns: int) -> Floats:
    """Return the sum over each window of ``rows`` x ``columns``: [H-rows+1, W-columns+1]."""
    total = np.pad(values.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    return (
        total[rows:, columns:]
        - total[:-rows, columns:]
        - total[rows:, :-columns]
        + total[:-rows, :-columns]
    )


def _shrink(values: Floats) -> Floats:
    """Average over each grid cell; pixels beyond the last full cell are ignored."""
    height, width = values.shape[0] // GRID, values.shape[1] // GRID
    cells = values[: height * GRID, : width * GRID].reshape(height, GRID, width, GRID)
    return cells.mean(axis=(1, 3), dtype=np.float64)


def _distance(shape: tuple[int, int], label: tuple[int, int], box: Floats) -> Floats:
    """Return the distance (in cells) of each label position from the best one, next to its box.

    Args:
        shape: (rows, columns) of candidate positions.
        label: (rows, columns) of the label.
        box: [4] xyxy in cells.
    """
    rows, columns = np.arange(shape[0])[:, None], np.arange(shape[1])[None]
    # sideways shifts cost little while the label covers the box or starts above it
    leftmost = min(box[0], box[2] - label[1])
    rightmost = max(box[0], box[2] - 0.4 * label[1])
    aside = np.maximum(leftmost - columns, 0) + np.maximum(columns - rightmost, 0)
    aside = aside + 0.15 * np.abs(columns - box[0])
    above = np.abs(rows + label[0] - box[1])
    below = np.abs(rows - box[3]) + 3
    inside = np.abs(rows - box[1]) + 4
    return aside + np.minimum(np.minimum(above, below), inside)


def place_labels(sizes: NDArray[np.int64], boxes: Floats, importance: Floats) -> NDArray[np.int64]:
    """Assign each label a free rectangle near its object, in the order of the labels.

    Args:
        sizes: [N, 2] (width, height) of the labels in pixels.
        boxes: [N, 4] xyxy boxes of the objects in pixels.
        importance: [H, W] cost of covering each pixel by a label, about 0 to 1.

    Returns:
        [N, 2] top-left corners (x, y); (-1, -1) for a label without a free position.
    """
    cost_of_cover = _shrink(importance)
    taken = np.zeros_like(cost_of_cover)
    corners = np.full((len(sizes), 2), -1, np.int64)
    for i, (width, height) in enumerate(sizes):
        label = (-(-int(height) // GRID), -(-int(width) // GRID))  # rounded up
        if label[0] > taken.shape[0] or label[1] > taken.shape[1]:
            continue
        free = _window_sums(taken, *label) < 0.5
        covered = _window_sums(cost_of_cover, *label) / (label[0] * label[1])
        cost = _distance((free.shape[0], free.shape[1]), label, boxes[i] / GRID) + _COVER * covered
        cost[~free] = np.inf
        row, column = np.unravel_index(int(np.argmin(cost)), cost.shape)
        if np.isfinite(cost[row, column]):
            taken[row : row + label[0], column : column + label[1]] = 1
            corners[i] = int(column) * GRID, int(row) * GRID
    return corners
