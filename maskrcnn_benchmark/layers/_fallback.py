"""The compiled operators computed by torchvision, where the extension cannot serve a tensor."""

from collections.abc import Callable
from typing import Any

import torch
import torchvision
from torch import Tensor

_MAX_SAMPLES = 1 << 15  # kMaxSamples of csrc/roi_align/kernel.h
_MAX_COORDINATE = 1 << 24  # in cells: the limit of csrc/roi_pool/kernel.h


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


def nms(boxes: Tensor, groups: Tensor, threshold: float, pixel_offset: float) -> Tensor:
    """Return which boxes [N, 4], in the order (group, descending score), are kept: bool [N].

    torchvision's boxes are `pixel_offset` narrower than ours, hence the shift of x2 and y2.
    """
    dtype = _accumulator(boxes.dtype)
    # x2 and y2 only
    boxes = boxes.to(dtype) + boxes.new_tensor([0, 0, pixel_offset, pixel_offset], dtype=dtype)
    threshold = torch.tensor(threshold, dtype=dtype).item()  # compare as the extension does
    keep = torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device)
    counts = torch.unique_consecutive(groups, return_counts=True)[1].tolist()
    for part, kept in zip(boxes.split(counts), keep.split(counts), strict=True):
        rank = torch.arange(len(part), 0, -1, dtype=dtype, device=boxes.device)
        kept[torchvision.ops.nms(part, rank, threshold)] = True
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
) -> Tensor:
    """Return the lowered scores [N] of boxes [N, 4] in the order (group, descending score)."""
    dtype = _accumulator(boxes.dtype)
    lowered, boxes = scores.to(dtype, copy=True), boxes.to(dtype)
    counts = torch.unique_consecutive(groups, return_counts=True)[1].tolist()
    for part, part_scores in zip(boxes.split(counts), lowered.split(counts), strict=True):
        left = ~part_scores.isnan()
        for _ in range(len(part)):
            best = part_scores.where(left, -torch.inf).argmax()
            if part_scores[best] < min_score:
                break
            left[best] = False
            iou = _iou(part[best], part, pixel_offset).nan_to_num(nan=0.0)
            if gaussian:
                factors = torch.exp(-iou * iou / parameter)
            else:
                factors = torch.where(iou >= torch.tensor(parameter, dtype=dtype), 1 - iou, 1)
            part_scores.mul_(factors.where(left, 1))
    return lowered


def _iou(box: Tensor, boxes: Tensor, pixel_offset: float) -> Tensor:
    """Return the IoU [N] of a box [4] with boxes [N, 4]."""
    common = torch.minimum(box[2:], boxes[:, 2:]) - torch.maximum(box[:2], boxes[:, :2])
    overlap = (common + pixel_offset).clamp(min=0).prod(dim=1)
    areas = [(b[..., 2:] - b[..., :2] + pixel_offset).prod(dim=-1) for b in (box, boxes)]
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
        return _pool(torchvision.ops.roi_align, features, regions, *options).to(input.dtype)
    near = _pool(torchvision.ops.roi_align, features, regions[~far], *options)
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
    options = (output_size, spatial_scale)
    return _pool(torchvision.ops.roi_pool, input.to(dtype), rois.to(dtype), *options).to(
        input.dtype
    )


def _pool(
    operator: Callable[..., Tensor],
    features: Tensor,
    rois: Tensor,
    output_size: tuple[int, int],
    spatial_scale: float,
    *options: Any,
) -> Tensor:
    """Call an operator of torchvision on the regions that it stands; the others are NaN.

    It takes coordinates as int32, and reads foreign memory where they are none.
    """
    usable = ((rois[:, 1:] * spatial_scale).abs() < _MAX_COORDINATE).all(dim=1)
    regions = rois.where(usable[:, None], 0)
    pooled = operator(features, regions, output_size, spatial_scale, *options)
    return pooled.where(usable[:, None, None, None], torch.nan)
