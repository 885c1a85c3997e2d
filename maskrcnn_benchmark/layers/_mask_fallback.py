"""The compiled operators on masks computed by torch, NumPy and pycocotools, to the same bits."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from torch import Tensor

from maskrcnn_benchmark.layers.paste_rule import PasteRule

_AT_ONCE = 255  # pycocotools keeps the number of masks in a uint8, which NumPy 2 refuses to wrap
_STEPS = {0: "steps of 0 or more", 6: "even steps of 6 or more"}
_MAX_BOX, _MAX_TARGET = 1 << 30, 1 << 24  # csrc/common/mask_paste.h, csrc/mask_targets/kernel.h


class _Region(NamedTuple):
    """Pixels ``[h, w]`` of a mask in an image, from row ``top`` and column ``left`` on."""

    pixels: Tensor
    top: int
    left: int


class _Axis(NamedTuple):
    """Which cells two and two make the pixels from ``first`` on, and the weight of the second."""

    first: int
    low: Tensor
    high: Tensor
    weight: Tensor


def paste_masks(
    masks: Tensor, boxes: Tensor, image_size: tuple[int, int], rule: PasteRule
) -> Tensor:
    """See `maskrcnn_benchmark.layers.paste_masks`."""
    dtype = torch.uint8 if rule.threshold < 0 else torch.bool
    pasted = torch.zeros(len(masks), image_size[1], image_size[0], dtype=dtype)
    for canvas, region in zip(pasted, _regions(masks, boxes, image_size, rule), strict=True):
        rows, columns = region.pixels.shape
        part = canvas[region.top : region.top + rows, region.left : region.left + columns]
        part.copy_(region.pixels)
    return pasted.to(masks.device)


def masks_to_rle(
    masks: Tensor, boxes: Tensor, image_size: tuple[int, int], rule: PasteRule
) -> list[str]:
    """See `maskrcnn_benchmark.layers.masks_to_rle`."""
    return [_rle(region, image_size) for region in _regions(masks, boxes, image_size, rule)]


def _rle(region: _Region, image_size: tuple[int, int]) -> str:
    """Return the counts of a mask, from its part that is not empty."""
    width, height = image_size
    columns = region.pixels.numpy().astype(np.int8).T  # COCO counts down the columns
    changes = np.diff(np.pad(columns, ((0, 0), (1, 1))), axis=1)
    column, row = np.nonzero(changes)  # where a run begins, and where it has ended, in turn
    places = (column + region.left) * height + row + region.top
    # a run that ends at the bottom goes on where the next one begins at the top
    meets = np.flatnonzero(places[1:-1:2] == places[2::2]) * 2 + 1
    places = np.delete(places, np.concatenate([meets, meets + 1]))
    counts = np.diff(places, prepend=0, append=height * width).tolist()
    counts = counts[:-1] if counts[-1] == 0 else counts
    rle = coco_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)
    return rle["counts"].decode("ascii")


def _regions(
    masks: Tensor, boxes: Tensor, image_size: tuple[int, int], rule: PasteRule
) -> Iterator[_Region]:
    """Yield of each mask the part of the image that it may reach."""
    side = masks.shape[-1]
    axis_of = _aligned_axis if rule.aligned else _legacy_axis
    for mask, box in zip(masks.float().cpu(), boxes.float().cpu(), strict=True):
        cells = torch.nn.functional.pad(mask, (1, 1, 1, 1))  # zeros around
        if not (box.abs() <= _MAX_BOX).all():  # NaN too
            yield _Region(torch.zeros(0, 0, dtype=torch.bool), 0, 0)
            continue
        columns, rows = (
            axis_of(box[axis::2], image_size[axis], side, rule.padding) for axis in (0, 1)
        )
        soft = _mix(_mix(cells.T, columns).T, rows)
        yield _Region(_pixels(soft, rule), rows.first, columns.first)


def _mix(cells: Tensor, axis: _Axis) -> Tensor:
    """Interpolate ``cells [M + 2, n]``, the first and last of which are zeros, along their rows."""
    low, high = (place.clamp(-1, len(cells) - 2) + 1 for place in (axis.low, axis.high))
    weight = axis.weight[:, None]
    return cells[low] * (1 - weight) + cells[high] * weight


def _pixels(soft: Tensor, rule: PasteRule) -> Tensor:
    """Return what of a soft mask belongs to the mask, as bool; or the soft mask as uint8."""
    if rule.threshold < 0:
        return (soft * 255).nan_to_num(nan=0.0).clamp(0, 255).to(torch.uint8)
    return soft >= rule.threshold if rule.aligned else soft > rule.threshold


def _legacy_axis(ends: Tensor, size: int, side: int, padding: int) -> _Axis:
    """Return the cells of an axis on which the box reaches from ``ends[0]`` to ``ends[1]``."""
    cells = side + 2 * padding
    center, half = (ends[0] + ends[1]) * 0.5, (ends[1] - ends[0]) * 0.5 * (cells / side)
    begin, end = int(center - half), int(center + half)  # towards zero
    pixels = max(end - begin + 1, 1)
    first, last = max(begin, 0), min(begin + pixels, size)
    scale = torch.tensor(float(cells)) / torch.tensor(float(pixels))
    places = (torch.arange(first, max(last, first)) - begin).float()
    position = (scale * (places + 0.5) - 0.5).clamp(min=0)
    low = position.long().clamp(max=cells - 1)
    high = (low + 1).clamp(max=cells - 1)
    return _Axis(first, low - padding, high - padding, (position - low).clamp(0, 1))


def _aligned_axis(ends: Tensor, size: int, side: int, padding: int) -> _Axis:
    """Return the cells of an axis; samples are not zero up to half a cell beyond the box."""
    del padding
    length = ends[1] - ends[0]
    if not length > 0:
        nothing = torch.zeros(0, dtype=torch.int64)
        return _Axis(0, nothing, nothing, nothing.float())
    reach = length / (2 * side)
    first = int((ends[0] - reach).floor().clamp(min=0))
    last = int((ends[1] + reach).ceil().clamp(max=size))
    centers = torch.arange(first, max(last, first)).float() + 0.5
    in_box = (centers - ends[0]) / length * 2 - 1
    position = ((in_box + 1) * (side * 0.5) - 0.5).clamp(-2, side)
    low = position.floor()
    return _Axis(first, low.long(), low.long() + 1, position - low)


def mask_targets(
    coordinates: Tensor,
    polygon_starts: Tensor,
    instance_starts: Tensor,
    boxes: Tensor,
    matched: Tensor,
    *size: int,
) -> tuple[Tensor, Tensor]:
    """See `maskrcnn_benchmark.layers.mask_targets`; ``size`` is its side, height and width."""
    side, height, width = size
    points = coordinates.float().numpy()
    cuts = _starts("polygon_starts", polygon_starts, len(points), 6)
    ends = _starts("instance_starts", instance_starts, len(cuts) - 1, 0)
    for row, instance in enumerate(matched.tolist()):
        if not 0 <= instance < len(ends) - 1:
            raise RuntimeError(
                f"mask_targets: expected matched in [0, {len(ends) - 1}), got {instance} in "
                f"row {row}"
            )
    masks = np.zeros((len(boxes), side, side), dtype=np.uint8)
    areas = np.zeros((len(boxes), 2), dtype=np.int64)
    for row, (box, instance) in enumerate(
        zip(boxes.float().numpy(), matched.tolist(), strict=True)
    ):
        own = range(ends[instance], ends[instance + 1])
        polygons = [points[cuts[i] : cuts[i + 1]].reshape(-1, 2) for i in own]
        if polygons and (np.abs(box) <= _MAX_TARGET).all():
            masks[row] = _draw(polygons, box, side)
            inside = np.trunc(box[2:] - box[:2])
            areas[row, 0] = _summed_area(polygons, box[:2], inside)
            areas[row, 1] = _whole_area(polygons, box, (width, height))
    return torch.from_numpy(masks), torch.from_numpy(areas)


def _starts(name: str, starts: Tensor, count: int, least: int) -> list[int]:
    """Return where things begin; refuse what would read beyond the ``count`` of them."""
    values = starts.tolist()

    def fits(step: int) -> bool:
        return step >= least and (step % 2 == 0 or least == 0)

    steps = [end - start for start, end in zip(values, values[1:], strict=False)]
    if values[:1] != [0] or values[-1] != count or not all(fits(step) for step in steps):
        raise RuntimeError(
            f"mask_targets: expected {name} from 0 to {count} in {_STEPS[least]}, got {values}"
        )
    return values


def _polygon_rles(
    polygons: Sequence[NDArray[np.float32]], height: int, width: int
) -> list[dict[str, Any]]:
    return coco_mask.frPyObjects([p.ravel().tolist() for p in polygons], height, width)


def _draw(
    polygons: Sequence[NDArray[np.float32]], box: NDArray[np.float32], side: int
) -> NDArray[np.uint8]:
    sizes = [max(float(size), 1.0) for size in box[2:] - box[:2]]
    ratios = np.array([side / size for size in sizes], dtype=np.float32)
    placed = [(polygon - box[:2]) * ratios for polygon in polygons]
    return coco_mask.decode(coco_mask.merge(_polygon_rles(placed, side, side)))


def _summed_area(
    polygons: Sequence[NDArray[np.float32]],
    corner: NDArray[np.float32],
    extent: NDArray[np.float32],
) -> int:
    width, height = extent.astype(int).tolist()
    if width <= 0 or height <= 0:
        return 0
    rles = _polygon_rles([polygon - corner for polygon in polygons], height, width)
    parts = range(0, len(rles), _AT_ONCE)
    return sum(int(coco_mask.area(rles[i : i + _AT_ONCE]).sum(dtype=np.int64)) for i in parts)


def _whole_area(
    polygons: Sequence[NDArray[np.float32]], box: NDArray[np.float32], size: tuple[int, int]
) -> int:
    vertices = np.concatenate(polygons)
    low = np.minimum(vertices.min(axis=0), np.trunc(box[:2]))
    high = np.maximum(vertices.max(axis=0), np.trunc(box[2:]) + 1)
    limits = np.array(size, dtype=np.float32) - 1
    low, high = np.clip(low, 0, limits), np.clip(high, 0, limits)
    return _summed_area(polygons, low, high - low)
