"""Fallback of the compiled operators on torchvision, for tensors the extension does not support."""

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from maskrcnn_benchmark.layers._ops import is_channels_last
from maskrcnn_benchmark.layers._torchvision import operators

_MAX_SAMPLES = 1 << 15  # kMaxSamples of csrc/roi_align/kernel.h
_MAX_COORDINATE = 1 << 24  # in feature map cells, the limit of csrc/roi_pool/kernel.h


def _accumulator(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype to compute in, as the extension does: float32 for half and bfloat16."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def _check_batch_indices(op: str, input: Tensor, rois: Tensor) -> None:
    """Check the batch indices, which torchvision does not; skipped on CUDA to avoid a sync."""
    if rois.device.type != "cpu" or torch.compiler.is_compiling():
        return
    outside = ~((rois[:, 0] >= 0) & (rois[:, 0] < input.shape[0]))  # also True for NaN
    if outside.any():
        row = int(outside.nonzero()[0])
        raise RuntimeError(
            f"{op}: expected rois[:, 0] in [0, {input.shape[0]}), got {rois[row, 0]:g} in row {row}"
        )


def nms(
    boxes: Tensor, groups: Tensor, threshold: float, pixel_offset: float, max_keep: int
) -> Tensor:
    """Return which boxes ``[N, 4]``, sorted by group and descending score, are kept: bool ``[N]``.

    torchvision computes widths without ``pixel_offset``, hence the shift of x2 and y2.
    """
    dtype = _accumulator(boxes.dtype)
    # x2 and y2 only
    boxes = boxes.to(dtype) + boxes.new_tensor([0, 0, pixel_offset, pixel_offset], dtype=dtype)
    # compare as the extension does; no IoU exceeds infinity
    threshold = torch.tensor(threshold if threshold > 0 else torch.inf, dtype=dtype).item()
    keep = torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device)
    counts = torch.unique_consecutive(groups, return_counts=True)[1].tolist()
    for part, kept in zip(boxes.split(counts), keep.split(counts), strict=True):
        rank = torch.arange(len(part), 0, -1, dtype=dtype, device=boxes.device)
        found = operators().nms(part, rank, threshold)
        kept[found[:max_keep] if max_keep else found] = True
    return keep


def soft_nms(
    boxes: Tensor,
    scores: Tensor,
    groups: Tensor,
    gaussian: bool,
    parameter: float,
    *,
    min_score: float,
    pixel_offset: float,
    max_keep: int,
) -> tuple[Tensor, Tensor]:
    """Return the lowered scores ``[N]`` and which boxes are kept, bool ``[N]``.

    The boxes ``[N, 4]`` are sorted by group and descending score. All G groups pick a box in each
    step; they are padded to M boxes, the size of the largest group, without a score.
    """
    dtype = _accumulator(boxes.dtype)
    _, row, counts = torch.unique_consecutive(groups, return_inverse=True, return_counts=True)
    place = row, torch.arange(len(boxes), device=boxes.device) - (counts.cumsum(0) - counts)[row]
    size = len(counts), int(counts.max()) if len(counts) else 0
    all_boxes = boxes.new_zeros(*size, 4, dtype=dtype).index_put(place, boxes.to(dtype))
    lowered = scores.new_full(size, torch.nan, dtype=dtype).index_put(place, scores.to(dtype))
    picked = torch.zeros_like(lowered, dtype=torch.bool)
    for _ in range(min(max_keep or size[1], size[1])):
        left = ~(picked | lowered.isnan())
        best = lowered.where(left, -torch.inf).argmax(dim=1, keepdim=True)  # [G, 1]
        picks = left.gather(1, best) & (lowered.gather(1, best) >= min_score)
        if not picks.any():
            break
        picked.scatter_(1, best, picks | picked.gather(1, best))
        best_boxes = all_boxes.gather(1, best[..., None].expand(-1, -1, 4))
        iou = _iou(best_boxes, all_boxes, pixel_offset).nan_to_num(nan=0.0)
        if gaussian:
            factors = torch.exp(-iou * iou / parameter)
        else:
            factors = torch.where(iou >= torch.tensor(parameter, dtype=dtype), 1 - iou, 1)
        lowered = lowered * factors.where(picks & ~picked, 1)
    return lowered[place], picked[place]


def _iou(one: Tensor, other: Tensor, pixel_offset: float) -> Tensor:
    """Return the IoU ``[G, M]`` of boxes ``[G, 1, 4]`` with boxes ``[G, M, 4]``."""
    common = torch.minimum(one[..., 2:], other[..., 2:]) - torch.maximum(
        one[..., :2], other[..., :2]
    )
    overlap = (common + pixel_offset).clamp(min=0).prod(dim=-1)
    areas = [(b[..., 2:] - b[..., :2] + pixel_offset).prod(dim=-1) for b in (one, other)]
    return overlap / (areas[0] + areas[1] - overlap)


def roi_align(
    features: Sequence[Tensor],
    rois: Tensor,
    levels: Tensor,
    output_size: tuple[int, int],
    *,
    spatial_scales: Sequence[float],
    sampling_ratio: int,
    aligned: bool,
) -> Tensor:
    """Compute ``maskrcnn_benchmark.layers.multilevel_roi_align``."""
    _check_batch_indices("roi_align", features[0], rois)
    _check_levels(features, levels)
    pool = functools.partial(_roi_align_of_level, sampling_ratio=sampling_ratio, aligned=aligned)
    if len(features) == 1:
        pooled = pool(features[0], rois, output_size, spatial_scale=spatial_scales[0])
    else:
        size = (rois.shape[0], features[0].shape[1], *output_size)
        pooled = features[0].new_full(size, torch.nan)  # stays NaN for an invalid level
        for level, (feature, scale) in enumerate(zip(features, spatial_scales, strict=True)):
            chosen = (levels == level).nonzero().flatten()
            part = pool(feature, rois[chosen], output_size, spatial_scale=scale)
            pooled = pooled.index_put((chosen,), part)
    layout = torch.channels_last if is_channels_last(features[0]) else torch.contiguous_format
    return pooled.contiguous(memory_format=layout)


def _check_levels(features: Sequence[Tensor], levels: Tensor) -> None:
    """Check that the levels are in the pyramid; skipped on CUDA to avoid a sync."""
    if levels.device.type != "cpu" or torch.compiler.is_compiling():
        return
    outside = (levels < 0) | (levels >= len(features))
    if outside.any():
        row = int(outside.nonzero()[0])
        raise RuntimeError(
            f"roi_align: expected levels in [0, {len(features)}), got {levels[row]} in row {row}"
        )


def _roi_align_of_level(
    input: Tensor,
    rois: Tensor,
    output_size: tuple[int, int],
    *,
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> Tensor:
    """Pool the regions ``[R, 5]`` from input ``[N, C, H, W]``."""
    dtype = _accumulator(input.dtype)
    features, regions = input.to(dtype), rois.to(dtype)
    starts, bins = _bins(regions, output_size, spatial_scale, aligned)
    valid = regions.isfinite().all(dim=1) & (bins.abs() < _MAX_SAMPLES).all(dim=1)
    valid &= (regions[:, 0] >= 0) & (regions[:, 0] < input.shape[0])
    # torchvision would not terminate, or would read out of bounds; a negative number of samples
    # means none, which a box of zeros has
    has_samples = (bins > 0).all(dim=1) if sampling_ratio <= 0 else torch.ones_like(valid)
    regions = regions.where((valid & has_samples)[:, None], 0)
    # torchvision's time and memory grow with the number of samples, even outside the map
    far = valid & ~(bins <= max(input.shape[2:])).all(dim=1)
    unknown = rois.device.type == "meta" or torch.compiler.is_compiling()
    options = (output_size, spatial_scale, sampling_ratio, aligned)
    if sampling_ratio > 0 or unknown or not far.any():
        pooled = operators().roi_align(features, regions, *options)
    else:
        near = operators().roi_align(features, regions[~far], *options)
        rows = far.nonzero().flatten()
        parts = [
            _far_roi_align(features[int(regions[i, 0])], output_size, starts[i], bins[i])
            for i in rows
        ]
        pooled = near.new_zeros(len(rois), *near.shape[1:])
        pooled = pooled.index_put(((~far).nonzero().flatten(),), near)
        pooled = pooled.index_put((rows,), torch.stack(parts))
    return pooled.where(valid[:, None, None, None], torch.nan).to(input.dtype)


def _bins(
    rois: Tensor, output_size: tuple[int, int], spatial_scale: float, aligned: bool
) -> tuple[Tensor, Tensor]:
    """Return first corner and bin size of the regions, both ``y, x`` ``[R, 2]`` in cells."""
    corners = rois[:, 1:] * spatial_scale - (0.5 if aligned else 0.0)
    starts, sizes = corners[:, [1, 0]], corners[:, [3, 2]] - corners[:, [1, 0]]
    sizes = sizes if aligned else sizes.clamp(min=1)
    return starts, sizes / sizes.new_tensor(output_size)


def _far_roi_align(
    planes: Tensor, output_size: tuple[int, int], start: Tensor, bin_size: Tensor
) -> Tensor:
    """Pool a region that extends far beyond the map to ``[C, height, width]``, one sample per cell.

    The mean of bilinear samples on a grid is separable into one mean per axis.
    """
    rows, columns = (
        _mean_on_axis(start[axis], bin_size[axis], output_size[axis], planes.shape[1 + axis])
        for axis in (0, 1)
    )
    return torch.einsum("py,cyx,qx->cpq", rows, planes, columns)


def _mean_on_axis(start: Tensor, bin_size: Tensor, bins: int, size: int) -> Tensor:
    """Return the weight ``[bins, size]`` of each cell of an axis in each bin."""
    shares = start.new_zeros(bins, size)
    count = max(int(bin_size.ceil()), 0)
    if count == 0:
        return shares
    samples = (torch.arange(count, dtype=start.dtype, device=start.device) + 0.5) * bin_size / count
    positions = start + torch.arange(bins, device=start.device)[:, None] * bin_size + samples
    inside = ((positions >= -1) & (positions <= size)).to(start.dtype) / count
    positions = positions.clamp(0, size - 1)
    low = positions.long()
    fraction = positions - low
    shares.scatter_add_(1, low, inside * (1 - fraction))
    return shares.scatter_add_(1, (low + 1).clamp(max=size - 1), inside * fraction)


def roi_pool(
    input: Tensor, rois: Tensor, output_size: tuple[int, int], spatial_scale: float
) -> Tensor:
    """Compute ``maskrcnn_benchmark.layers.roi_pool``."""
    _check_batch_indices("roi_pool", input, rois)
    dtype = _accumulator(input.dtype)
    features, rois = input.to(dtype), rois.to(dtype)
    # torchvision converts coordinates to int32, and reads out of bounds if they overflow
    usable = ((rois[:, 1:] * spatial_scale).abs() < _MAX_COORDINATE).all(dim=1)
    regions = rois.where(usable[:, None], 0)
    pooled = operators().roi_pool(features, regions, output_size, spatial_scale)
    return pooled.where(usable[:, None, None, None], torch.nan).to(input.dtype)
