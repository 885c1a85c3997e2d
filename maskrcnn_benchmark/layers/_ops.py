"""The compiled operators ``torch.ops.maskrcnn_benchmark.*``: loading, shapes and gradients.

The schemas are in ``csrc/ops.cpp``, the kernels in ``csrc/<operator>``. This module registers the
parts that torch expects in Python: the fake implementations, used by ``torch.compile``, and the
derivatives. ``serves`` returns whether the operators support a tensor; if they do not,
``_fallback.py`` computes the same result.
"""

import functools
import importlib
import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

NAMESPACE = "maskrcnn_benchmark"
DISABLING_VARIABLE = "MASKRCNN_BENCHMARK_NO_EXTENSION"


def has_extension(device_type: str = "cpu") -> bool:
    """Return whether the compiled operators support a device type (``"cpu"``, ``"cuda"``)."""
    return device_type in _served_devices


@functools.cache
def _warn_once() -> None:
    warnings.warn(
        f"maskrcnn_benchmark uses torchvision's operators instead of its own ({_reason}); the "
        "results agree up to rounding. Build them with: pip install --no-build-isolation -e .",
        RuntimeWarning,
        stacklevel=4,
    )


def serves(tensor: Tensor, *, gradient_in_any_order: bool = False) -> bool:
    """Return whether the operators support a tensor; warn the first time that they do not.

    Args:
        tensor: any input of the operator.
        gradient_in_any_order: whether the gradient uses atomic additions on CUDA, so that two runs
            differ in the last bits. With ``torch.use_deterministic_algorithms`` torchvision's
            operator is used instead, which is deterministic or raises torch's error.
    """
    if (
        gradient_in_any_order
        and tensor.device.type == "cuda"
        and torch.are_deterministic_algorithms_enabled()
    ):
        return False
    if has_extension(tensor.device.type):
        return True
    _warn_once()
    return False


def _fake_nms(boxes: Tensor, *_: Any) -> Tensor:
    return boxes.new_empty(boxes.shape[0], dtype=torch.bool)


def _fake_soft_nms(boxes: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    dtype = torch.float64 if boxes.dtype == torch.float64 else torch.float32
    return boxes.new_empty(boxes.shape[0], dtype=dtype), _fake_nms(boxes)


def _fake_match_boxes(gt_boxes: Tensor, boxes: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    count = boxes.shape[0]
    dtype = torch.float64 if boxes.dtype == torch.float64 else torch.float32
    best, best_gt = boxes.new_empty(count, dtype=dtype), boxes.new_empty(count, dtype=torch.int64)
    return best, best_gt, boxes.new_empty(count, dtype=torch.bool)


def is_channels_last(input: Tensor) -> bool:
    """Return whether ``[N, C, H, W]`` is in channels_last and not also in contiguous format."""
    return not input.is_contiguous() and input.permute(0, 2, 3, 1).is_contiguous()


def _empty_regions(like: Tensor, size: tuple[int, int, int, int], channels_last: bool) -> Tensor:
    """Return an uninitialized tensor ``[N, C, H, W]``, channels_last or contiguous."""
    n, c, h, w = size
    if channels_last:
        return like.new_empty(n, h, w, c).permute(0, 3, 1, 2)
    return like.new_empty(size)


def _fake_roi_align(
    features: Sequence[Tensor],
    rois: Tensor,
    levels: Tensor,
    spatial_scales: Sequence[float],
    *options: Any,
) -> Tensor:
    pooled_height, pooled_width = options[:2]
    size = (rois.shape[0], features[0].shape[1], pooled_height, pooled_width)
    return _empty_regions(features[0], size, is_channels_last(features[0]))


def _fake_roi_align_backward(grad: Tensor, *rest: Any) -> list[Tensor]:
    images, heights, widths, channels_last = rest[-4:]
    return [
        _empty_regions(grad, (images, grad.shape[1], height, width), channels_last)
        for height, width in zip(heights, widths, strict=True)
    ]


def _fake_roi_pool(
    input: Tensor, rois: Tensor, spatial_scale: float, pooled_height: int, pooled_width: int
) -> tuple[Tensor, Tensor]:
    output = input.new_empty(rois.shape[0], input.shape[1], pooled_height, pooled_width)
    return output, torch.empty_like(output, dtype=torch.int32)


def _fake_roi_pool_backward(grad: Tensor, *rest: Any) -> Tensor:
    images, height, width = rest[-3:]
    return grad.new_empty(images, grad.shape[1], height, width)


def _fake_paste_masks(masks: Tensor, boxes: Tensor, *rest: Any) -> Tensor:
    height, width, threshold, *_ = rest
    dtype = torch.uint8 if threshold < 0 else torch.bool
    return masks.new_empty(masks.shape[0], height, width, dtype=dtype)


def _fake_masks_to_rle(masks: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    characters = torch.library.get_ctx().new_dynamic_size()
    starts = masks.new_empty(masks.shape[0] + 1, dtype=torch.int64)
    return masks.new_empty(characters, dtype=torch.uint8), starts


def _fake_mask_targets(coordinates: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    boxes, side = rest[2], rest[4]
    masks = boxes.new_empty(boxes.shape[0], side, side, dtype=torch.uint8)
    return masks, boxes.new_empty(boxes.shape[0], 2, dtype=torch.int64)


def _save_roi_align(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    features, rois, levels, scales, _, _, sampling_ratio, aligned = inputs
    ctx.options = (scales, sampling_ratio, aligned)
    ctx.maps = (
        features[0].shape[0],
        [feature.shape[2] for feature in features],
        [feature.shape[3] for feature in features],
        is_channels_last(features[0]),
    )
    ctx.save_for_backward(rois, levels)


def _roi_align_gradient(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    result = torch.ops.maskrcnn_benchmark.roi_align_backward(
        grad, *ctx.saved_tensors, *ctx.options, *ctx.maps
    )
    if not torch.is_grad_enabled():  # autograd adds other gradients in place, but not to a view
        result = [of_level.detach() for of_level in result]
    return result, None, None, None, None, None, None, None


def _save_roi_align_backward(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    grad, rois, levels, ctx.scales, *options = inputs
    ctx.options = (*grad.shape[2:], *options[:2])
    ctx.save_for_backward(rois, levels)


def _roi_align_backward_gradient(ctx: Any, grads: list[Tensor]) -> tuple[Tensor | None, ...]:
    # roi_align is linear in its input, so the derivative of its backward is roi_align itself
    result = torch.ops.maskrcnn_benchmark.roi_align(
        grads, *ctx.saved_tensors, ctx.scales, *ctx.options
    )
    return result, *[None] * 9


def _save_roi_pool(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    input, rois, *_ = inputs
    ctx.images, _, ctx.height, ctx.width = input.shape
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(rois, output[1])


def _roi_pool_gradient(ctx: Any, grad: Tensor, _: Tensor | None) -> tuple[Tensor | None, ...]:
    rois, argmax = ctx.saved_tensors
    size = (ctx.images, ctx.height, ctx.width)
    result = torch.ops.maskrcnn_benchmark.roi_pool_backward(grad, rois, argmax, *size)
    return result, None, None, None, None


def _roi_pool_backward_gradient(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    raise RuntimeError("roi_pool: its gradient cannot be differentiated again")


_FAKES: dict[str, Callable[..., Any]] = {
    "nms": _fake_nms,
    "soft_nms": _fake_soft_nms,
    "match_boxes": _fake_match_boxes,
    "roi_align": _fake_roi_align,
    "roi_align_backward": _fake_roi_align_backward,
    "roi_pool": _fake_roi_pool,
    "roi_pool_backward": _fake_roi_pool_backward,
    "paste_masks": _fake_paste_masks,
    "masks_to_rle": _fake_masks_to_rle,
    "mask_targets": _fake_mask_targets,
}
_GRADIENTS: dict[str, tuple[Callable[..., Any], Callable[..., Any] | None]] = {
    "roi_align": (_roi_align_gradient, _save_roi_align),
    "roi_align_backward": (_roi_align_backward_gradient, _save_roi_align_backward),
    "roi_pool": (_roi_pool_gradient, _save_roi_pool),
    "roi_pool_backward": (_roi_pool_backward_gradient, None),
}


def _load_extension() -> tuple[frozenset[str], str]:
    """Return the device types that the extension supports, and the reason."""
    if os.environ.get(DISABLING_VARIABLE, "0") == "1":
        return frozenset(), f"{DISABLING_VARIABLE}=1 is set"
    try:
        extension = importlib.import_module("maskrcnn_benchmark._C")
    except ImportError as error:
        return frozenset(), f"the extension cannot be loaded: {error}"
    if missing := [name for name in _FAKES if not hasattr(torch.ops.maskrcnn_benchmark, name)]:
        return frozenset(), f"the extension is outdated: it lacks {', '.join(missing)}"
    if extension.WITH_CUDA:
        return frozenset({"cpu", "meta", "cuda"}), "the extension supports CPU and CUDA"
    return frozenset({"cpu", "meta"}), "the extension was built without CUDA"


def _register(namespace: str) -> None:
    """Register the fake implementations and derivatives of the operators of a library."""
    for name, fake in _FAKES.items():
        torch.library.register_fake(f"{namespace}::{name}", fake)
    for name, (gradient, save) in _GRADIENTS.items():
        torch.library.register_autograd(f"{namespace}::{name}", gradient, setup_context=save)


_served_devices, _reason = _load_extension()
if _served_devices:
    _register(NAMESPACE)
