"""Keypoints to cells of heat maps for training, and heat maps to keypoints at inference.

Shapes: R ROIs, K keypoints each, M size of the heat maps, H and W size of the enlarged ones.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

_CUBIC = -0.75  # OpenCV's and PyTorch's parameter of the cubic convolution
_MAX_VALUES = 1 << 23  # enlarged heat maps that are in memory at the same time


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
        for rows in _groups(pixels, heat_maps.shape[1]):
            chosen = torch.tensor(rows, device=rois.device)
            cells[chosen], logits[chosen] = _maxima(heat_maps[chosen], pixels[chosen])
    points = (cells + 0.5) * (sizes / pixels)[:, None] + rois[:, None, :2]
    return torch.cat([points, torch.ones_like(points[..., :1])], dim=2), logits


def _groups(pixels: Tensor, num_keypoints: int) -> Iterator[Sequence[int]]:
    """Yield the rows of ROIs to decode together, so that their padded maps fit into memory.

    Args:
        pixels: int64 ``[R, 2]``, width and height of each enlarged map.
        num_keypoints: K.
    """
    group: list[int] = []
    width = height = 0
    sides = pixels.tolist()  # one transfer
    for row in pixels.prod(dim=1).argsort(stable=True).tolist():
        width, height = max(width, sides[row][0]), max(height, sides[row][1])
        if group and (len(group) + 1) * num_keypoints * width * height > _MAX_VALUES:
            yield group
            group, (width, height) = [], sides[row]
        group.append(row)
    if group:
        yield group


def _maxima(heat_maps: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first maximum of each enlarged map in row-major order.

    Args:
        heat_maps: ``[R, K, M, M]``.
        pixels: int64 ``[R, 2]``, width and height of the enlarged maps.

    Returns:
        int64 ``[R, K, 2]``, column and row; and the values ``[R, K]``.
    """
    side = heat_maps.shape[-1]
    to_columns, to_rows = (_enlargement(n, side, heat_maps.dtype) for n in pixels.unbind(dim=1))
    enlarged = to_rows[:, None] @ heat_maps @ to_columns.mT[:, None]  # [R, K, H, W]
    height, width = enlarged.shape[2:]
    steps = [torch.arange(n, device=pixels.device) for n in (width, height)]
    is_column, is_row = (s < n[:, None] for s, n in zip(steps, pixels.unbind(dim=1), strict=True))
    inside = is_row[:, None, :, None] & is_column[:, None, None]
    best, where = enlarged.masked_fill(~inside, -torch.inf).flatten(2).max(dim=2)
    return torch.stack([where % width, where // width], dim=2), best


def _enlargement(sizes: Tensor, side: int, dtype: torch.dtype) -> Tensor:
    """Return the matrices ``[R, N, M]`` that enlarge M values to ``sizes[r]``; N is the largest.

    Rows beyond the size of an ROI have no meaning.

    Args:
        sizes: int64 ``[R]``.
        side: M.
        dtype: of the result.
    """
    count = int(sizes.max())
    steps = torch.arange(count, device=sizes.device, dtype=torch.float64)
    source = (steps + 0.5) * (side / sizes[:, None].double()) - 0.5  # [R, N], in cells of the map
    left = source.floor()
    t = (source - left).to(dtype)
    weights = _cubic_weights(t)
    taps = left.long()[..., None] + torch.arange(-1, 3, device=sizes.device)
    matrix = torch.zeros(*source.shape, side, dtype=dtype, device=sizes.device)
    return matrix.scatter_add_(2, taps.clamp(min=0, max=side - 1), weights)


def _cubic_weights(t: Tensor) -> Tensor:
    """Return the weights ``[..., 4]`` of the neighbors at -1, 0, 1, 2 of a position in [0, 1)."""
    a = _CUBIC

    def near(x: Tensor) -> Tensor:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: Tensor) -> Tensor:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return torch.stack([far(t + 1), near(t), near(1 - t), far(2 - t)], dim=-1)
