"""Keypoints to cells of heat maps for training, and heat maps to keypoints at inference.

Shapes: R ROIs, K keypoints each, M size of the heat maps, H and W size of the enlarged ones, C
columns of enlarged heat maps.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

_CUBIC = -0.75  # OpenCV's and PyTorch's parameter of the cubic convolution
_OVERSHOOT = -_CUBIC / 4  # the most that negative weights add up to, half way between two cells
_MAX_VALUES = 1 << 23  # values of enlarged heat maps that are in memory at the same time


def keypoints_to_heat_map(keypoints: Tensor, rois: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return the cell of each keypoint in the heat map of its ROI.

    The right and bottom edges belong to the last cells.

    Args:
        keypoints: ``[R, K, 3]``, ``x, y, v`` in pixels.
        rois: corners ``[R, 4]``. Their sizes are ``x2 - x1`` in either box convention.
        size: M.

    Returns:
        int64 ``[R, K]``, ``row * M + column``, 0 if there is none; and bool ``[R, K]``, whether the
        keypoint is annotated (v > 0) and inside the ROI.
    """
    low, high = rois[:, None, :2], rois[:, None, 2:]
    points = keypoints[..., :2]
    # an ROI without width: everything but its edge is infinitely far away
    cells = ((points - low) * (size / (high - low))).floor().clamp(min=-1, max=size)
    cells = torch.where(points == high, size - 1, cells).long()  # [R, K, 2]
    valid = (keypoints[..., 2] > 0) & ((cells >= 0) & (cells < size)).all(dim=2)
    return (cells[..., 1] * size + cells[..., 0]) * valid, valid


@torch.no_grad()
def heat_maps_to_keypoints(heat_maps: Tensor, rois: Tensor) -> tuple[Tensor, Tensor]:
    """Return the position of the maximum of each heat map, enlarged to the pixels of its ROI.

    Heat maps are enlarged by cubic convolution with replicated borders, as by OpenCV. ROIs of
    similar area are decoded together.

    Args:
        heat_maps: logits ``[R, K, M, M]``.
        rois: corners ``[R, 4]``. Their sizes are ``x2 - x1`` in either box convention, at least 1.

    Returns:
        ``[R, K, 3]``: ``x, y, 1`` in pixels; and ``[R, K]``, the enlarged map at that position.
    """
    sizes = (rois[:, 2:] - rois[:, :2]).clamp(min=1)  # width and height
    pixels = sizes.ceil().long()
    cells = torch.zeros(*heat_maps.shape[:2], 2, dtype=torch.int64, device=rois.device)
    logits = heat_maps.new_zeros(heat_maps.shape[:2])
    # mixed precision has too few digits for positions
    with torch.autocast(rois.device.type, enabled=False):
        for rows in _groups(pixels, heat_maps.shape[1:3].numel()):
            chosen = torch.tensor(rows, device=rois.device)
            cells[chosen], logits[chosen] = _maxima(heat_maps[chosen], pixels[chosen])
    points = (cells + 0.5) * (sizes / pixels)[:, None] + rois[:, None, :2]
    return torch.cat([points, torch.ones_like(points[..., :1])], dim=2), logits


def _groups(pixels: Tensor, values_per_column: int) -> Iterator[Sequence[int]]:
    """Yield the rows of ROIs to decode together, so that their widened maps fit into memory.

    Args:
        pixels: int64 ``[R, 2]``, width and height of each enlarged map.
        values_per_column: K * M.
    """
    group: list[int] = []
    widest = 0
    widths = pixels[:, 0].tolist()  # one transfer
    for row in pixels.prod(dim=1).argsort(stable=True).tolist():
        widest = max(widest, widths[row])
        if group and (len(group) + 1) * widest * values_per_column > _MAX_VALUES:
            yield group
            group, widest = [], widths[row]
        group.append(row)
    if group:
        yield group


class _Taps(NamedTuple):
    """The cells that each enlarged position is a weighted sum of.

    Attributes:
        cells: int64 ``[R, N, 4]``; N is the largest size, rows beyond that of an ROI mean nothing.
        weights: ``[R, N, 4]``.
        inside: bool ``[R, N]``, whether the position is within the size of the ROI.
    """

    cells: Tensor
    weights: Tensor
    inside: Tensor


def _maxima(heat_maps: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first maximum of each enlarged map in row-major order.

    The maps are widened, but of their columns only those are enlarged that may hold the maximum:
    cubic convolution exceeds the cells of a column by at most ``_OVERSHOOT`` of their range.

    Args:
        heat_maps: ``[R, K, M, M]``.
        pixels: int64 ``[R, 2]``, width and height of the enlarged maps.

    Returns:
        int64 ``[R, K, 2]``, column and row; and the values ``[R, K]``.
    """
    side, count = heat_maps.shape[-1], heat_maps.shape[0] * heat_maps.shape[1]
    across, down = (_taps(sizes, side, heat_maps.dtype) for sizes in pixels.unbind(dim=1))
    matrix = heat_maps.new_zeros(*across.cells.shape[:2], side)
    matrix.scatter_add_(2, across.cells, across.weights)
    wide = matrix[:, None] @ heat_maps.mT  # [R, K, W, M]: its rows are columns of the maps
    high, low = wide.amax(dim=3), wide.amin(dim=3)
    high = high.masked_fill(~across.inside[:, None], -torch.inf)
    roi, keypoint = (torch.ones_like(high[..., 0]) > 0).nonzero(as_tuple=True)
    start = high.argmax(dim=2)
    attained, _ = _highest(wide[roi, keypoint, start.flatten()], roi, down)
    # a little more, for what rounding adds
    bound = high + (_OVERSHOOT + 1e-4) * (high - low)
    promising = bound >= attained.unflatten(0, start.shape)[..., None]
    promising.scatter_(2, start[..., None], value=1)  # also where there is a NaN
    roi, keypoint, column = promising.nonzero(as_tuple=True)
    values, row = _highest(wide[roi, keypoint, column], roi, down)
    heat_map = roi * heat_maps.shape[1] + keypoint
    best = values.new_full((count,), -torch.inf).scatter_reduce(0, heat_map, values, "amax")
    width = wide.shape[2]
    nowhere = torch.iinfo(row.dtype).max
    place = torch.where(values < best[heat_map], nowhere, row * width + column)
    first = place.new_full((count,), nowhere)
    first = first.scatter_reduce(0, heat_map, place, "amin").unflatten(0, start.shape)
    return torch.stack([first % width, first // width], dim=2), best.unflatten(0, start.shape)


def _highest(columns: Tensor, roi: Tensor, taps: _Taps) -> tuple[Tensor, Tensor]:
    """Return the maximum of each column when it is enlarged, and the first row that has it.

    Args:
        columns: ``[C, M]``.
        roi: int64 ``[C]``, index of the ROI of each.
        taps: of the rows.

    Returns:
        ``[C]``, and int64 ``[C]``.
    """
    parts = max(_MAX_VALUES // (4 * taps.cells.shape[1]), 1)
    found = [
        (of_part.gather(1, taps.cells[rois].flatten(1)).unflatten(1, (-1, 4)) * taps.weights[rois])
        .sum(dim=2)
        .masked_fill(~taps.inside[rois], -torch.inf)
        .max(dim=1)
        for of_part, rois in zip(columns.split(parts), roi.split(parts), strict=True)
    ]
    return torch.cat([values for values, _ in found]), torch.cat([rows for _, rows in found])


def _taps(sizes: Tensor, side: int, dtype: torch.dtype) -> _Taps:
    """Return the taps that enlarge M values to ``sizes[r]``.

    Args:
        sizes: int64 ``[R]``.
        side: M.
        dtype: of the weights.
    """
    steps = torch.arange(int(sizes.max()), device=sizes.device)
    source = (steps + 0.5).double() * (side / sizes[:, None].double()) - 0.5  # [R, N], in cells
    left = source.floor()
    cells = left.long()[..., None] + torch.arange(-1, 3, device=sizes.device)
    weights = _cubic_weights((source - left).to(dtype))
    return _Taps(cells.clamp(min=0, max=side - 1), weights, steps < sizes[:, None])


def _cubic_weights(t: Tensor) -> Tensor:
    """Return the weights ``[..., 4]`` of the neighbors at -1, 0, 1, 2 of a position in [0, 1)."""
    a = _CUBIC

    def near(x: Tensor) -> Tensor:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: Tensor) -> Tensor:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return torch.stack([far(t + 1), near(t), near(1 - t), far(2 - t)], dim=-1)
