"""The compiled operators computed by torchvision, where the extension cannot serve a tensor."""

import torch
import torchvision
from torch import Tensor

_MAX_SAMPLES = 1 << 15  # kMaxSamples of csrc/roi_align/kernel.h


def _accumulator(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype of the arithmetic, as in the extension: half and bfloat16 use float."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def _check_batch_indices(op: str, input: Tensor, rois: Tensor) -> None:
    """Refuse what makes torchvision read foreign memory; not on CUDA, where it would wait."""
    if rois.device.type != "cpu" or torch.compiler.is_compiling():
        return
    outside = ~((rois[:, 0] >= 0) & (rois[:, 0] < input.shape[0]))  # NaN is outside too
    if outside.any():
        row = int(outside.nonzero()[0])
        raise RuntimeError(
            f"{op}: expected rois[:, 0] in [0, {input.shape[0]}), got {rois[row, 0]:g} in row {row}"
        )


def nms(
    boxes: Tensor, groups: Tensor, threshold: float, pixel_offset: float, max_keep: int
) -> Tensor:
    """Return which boxes [N, 4], in the order (group, descending score), are kept: bool [N].

    torchvision's boxes are `pixel_offset` narrower than ours, hence the shift of x2 and y2.
    """
    dtype = _accumulator(boxes.dtype)
    # x2 and y2 only
    boxes = boxes.to(dtype) + boxes.new_tensor([0, 0, pixel_offset, pixel_offset], dtype=dtype)
    # compare as the extension does; nothing overlaps by more than infinity
    threshold = torch.tensor(threshold if threshold > 0 else torch.inf, dtype=dtype).item()
    keep = torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device)
    counts = torch.unique_consecutive(groups, return_counts=True)[1].tolist()
    for part, kept in zip(boxes.split(counts), keep.split(counts), strict=True):
        rank = torch.arange(len(part), 0, -1, dtype=dtype, device=boxes.device)
        found = torchvision.ops.nms(part, rank, threshold)
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
    """Return the lowered scores [N] and which are kept, bool [N].

    The boxes [N, 4] are in the order (group, descending score). All groups pick at once: G groups
    of M boxes at most, those that are missing without a score.
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
    """Return the IoU [G, M] of boxes [G, 1, 4] with boxes [G, M, 4]."""
    common = torch.minimum(one[..., 2:], other[..., 2:]) - torch.maximum(
        one[..., :2], other[..., :2]
    )
    overlap = (common + pixel_offset).clamp(min=0).prod(dim=-1)
    areas = [(b[..., 2:] - b[..., :2] + pixel_offset).prod(dim=-1) for b in (one, other)]
    return overlap / (areas[0] + areas[1] - overlap)


def roi_align(
    input: Tensor,
    rois: Tensor,
    output_size: tuple[int, int],
    *,
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> Tensor:
    """See `maskrcnn_benchmark.layers.roi_align`."""
    _check_batch_indices("roi_align", input, rois)
    dtype = _accumulator(input.dtype)
    features, regions = input.to(dtype), rois.to(dtype)
    starts, bins = _bins(regions, output_size, spatial_scale, aligned)
    # torchvision takes time and memory by the number of samples, inside the map or not
    far = ~((bins <= max(input.shape[2:])) & starts.isfinite()).all(dim=1)
    unknown = rois.device.type == "meta" or torch.compiler.is_compiling()
    options = (output_size, spatial_scale, sampling_ratio, aligned)
    if sampling_ratio > 0 or unknown or not far.any():
        return torchvision.ops.roi_align(features, regions, *options).to(input.dtype)
    near = torchvision.ops.roi_align(features, regions[~far], *options)
    rows = far.nonzero().flatten()
    pooled = [_far_roi_align(features, regions[i], output_size, starts[i], bins[i]) for i in rows]
    output = near.new_zeros(len(rois), *near.shape[1:])
    output = output.index_put(((~far).nonzero().flatten(),), near)
    return output.index_put((rows,), torch.stack(pooled)).to(input.dtype)


def _bins(
    rois: Tensor, output_size: tuple[int, int], spatial_scale: float, aligned: bool
) -> tuple[Tensor, Tensor]:
    """Return the first corners and the sizes of the bins, both ``y, x`` [K, 2] in cells."""
    corners = rois[:, 1:] * spatial_scale - (0.5 if aligned else 0.0)
    starts, sizes = corners[:, [1, 0]], corners[:, [3, 2]] - corners[:, [1, 0]]
    sizes = sizes if aligned else sizes.clamp(min=1)
    return starts, sizes / sizes.new_tensor(output_size)


def _far_roi_align(
    features: Tensor, roi: Tensor, output_size: tuple[int, int], start: Tensor, bin_size: Tensor
) -> Tensor:
    """Return [C, height, width] of a region that reaches far out of the map, one sample a cell.

    The mean of bilinear samples on a grid is a product of two means, one for each axis.
    """
    if not ((bin_size.abs() < _MAX_SAMPLES) & start.isfinite()).all():  # as the extension does
        return features.new_full((features.shape[1], *output_size), torch.nan)
    rows, columns = (
        _mean_on_axis(start[axis], bin_size[axis], output_size[axis], features.shape[2 + axis])
        for axis in (0, 1)
    )
    return torch.einsum("py,cyx,qx->cpq", rows, features[int(roi[0])], columns)


def _mean_on_axis(start: Tensor, bin_size: Tensor, bins: int, size: int) -> Tensor:
    """Return the share [bins, size] that each cell of an axis has in each bin."""
    shares = start.new_zeros(bins, size)
    count = max(int(bin_size.ceil()), 0)
    if count == 0:
        return shares
    samples = (torch.arange(count, dtype=start.dtype, device=start.device) + 0.5) * (
        bin_size / count
    )
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
    """See `maskrcnn_benchmark.layers.roi_pool`."""
    _check_batch_indices("roi_pool", input, rois)
    dtype = _accumulator(input.dtype)
    output = torchvision.ops.roi_pool(input.to(dtype), rois.to(dtype), output_size, spatial_scale)
    return output.to(input.dtype)
