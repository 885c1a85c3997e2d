"""One training step: losses, gradients, check for non-finite losses, weight update."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from yacs.config import CfgNode

from maskrcnn_benchmark.checkpoint.readers import AVERAGED
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.image_list import ImageList
from maskrcnn_benchmark.utils.comm import all_gather, any_process

Batch = tuple[ImageList, Sequence[BoxList], Sequence[int]]
_LOWEST_SCALE = 1.0  # if a loss still overflows at this scale, scaling is not the cause


class LossNotFiniteError(ArithmeticError):
    """A loss became infinite or NaN; the message names the loss and the images."""


@dataclass(frozen=True, kw_only=True)
class StepOptions:
    """Options of one optimization step; by default as in the original.

    Attributes:
        accumulate: number of parts in which a batch is processed, one after another, to save
            memory. The gradient is the mean over the parts, weighted by their number of images.
        clip_norm: maximum L2 norm of the gradient of all weights together; 0: no limit.
        clip_value: maximum absolute value of a gradient element; 0: no limit.
        scaler: scales the loss of a float16 model so that small gradients do not underflow. While
            it is enabled, an overflowing loss or gradient skips the step and halves the scale;
            training stops when the scale falls below 1.
        averaged: moving average of the weights, updated after each step.
    """

    accumulate: int = 1
    clip_norm: float = 0.0
    clip_value: float = 0.0
    scaler: GradScaler = field(default_factory=lambda: GradScaler("cpu", enabled=False))
    averaged: AveragedModel | None = None

    @classmethod
    def from_cfg(cls, cfg: CfgNode, model: nn.Module, device: torch.device) -> StepOptions:
        """Read ``SOLVER`` and ``DTYPE`` for a model on a device."""
        solver = cfg.SOLVER
        averaged = None
        if solver.EMA_DECAY > 0:
            averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(solver.EMA_DECAY))
        return cls(
            accumulate=solver.ACCUMULATE,
            clip_norm=solver.CLIP_GRAD_NORM,
            clip_value=solver.CLIP_GRAD_VALUE,
            scaler=GradScaler(device.type, enabled=cfg.DTYPE == "float16"),
            averaged=averaged,
        )

    def trained(self, model: nn.Module) -> nn.Module:
        """Return the model to evaluate: the average of ``model``'s weights, if there is one."""
        if self.averaged is None:
            return model
        module: nn.Module = self.averaged.module
        return module

    def stateful(self) -> dict[str, Any]:
        """Return the stateful parts to checkpoint, by their name in the checkpoint."""
        parts: dict[str, Any] = {"scaler": self.scaler} if self.scaler.is_enabled() else {}
        return parts | ({AVERAGED: self.averaged} if self.averaged is not None else {})


def train_step(
    model: nn.Module,
    optimizer: Optimizer,
    batch: Batch,
    device: torch.device | str,
    *,
    options: StepOptions | None = None,
    dataset: Any = None,
    agree: Callable[[Tensor], bool] = any_process,
) -> dict[str, Tensor]:
    """Update the weights with one batch.

    Args:
        model: maps ``(images, targets)`` to a dict of losses.
        optimizer: optimizer of the model's parameters.
        batch: images, targets, and indices of the images in the data set.
        device: device of the model.
        options: options of the step; None: the defaults.
        dataset: its ``get_img_info`` names the images in errors; None: by index.
        agree: returns whether a one-element bool tensor is true on any rank; called once.

    Returns:
        Detached 0-d tensors on the device: each loss as the mean over the parts of the batch, their
        sum ``loss`` and, if the norm is clipped, ``grad_norm`` before clipping.

    Raises:
        LossNotFiniteError: a loss on any rank is infinite or NaN and lowering the loss scale does
            not help; raised on every rank, with the weights unchanged.
    """
    options = options or StepOptions()
    parts = split_batch(batch, options.accumulate)
    shares = [len(part[2]) / len(batch[2]) for part in parts]
    optimizer.zero_grad()
    of_parts = []
    for index, (part, share) in enumerate(zip(parts, shares, strict=True)):
        with _keep_gradients_local(model, until_last=index == len(parts) - 1):
            of_parts.append(_backward(model, part, device, share=share, scaler=options.scaler))
    losses = {
        name: torch.stack([s * of[name] for s, of in zip(shares, of_parts, strict=True)]).sum()
        for name in of_parts[0]
    }
    overflow = agree(~torch.isfinite(losses["loss"]))
    scaler = options.scaler
    if scaler.get_scale() < _LOWEST_SCALE if scaler.is_enabled() else overflow:
        raise LossNotFiniteError(_describe(of_parts, [part[2] for part in parts], dataset))
    if overflow:
        _spoil_gradients(optimizer)
    scaler.unscale_(optimizer)
    losses |= _clip(optimizer, options)
    scaler.step(optimizer)
    scaler.update()
    if options.averaged is not None:
        options.averaged.update_parameters(model)
    return losses


def split_batch(batch: Batch, parts: int) -> list[Batch]:
    """Split a batch into at most ``parts`` non-empty parts, the larger ones first.

    Every part keeps the padding of the whole batch, so the output of each image is the same.
    """
    images, targets, indices = batch
    split, start = [], 0
    for part_index in range(min(parts, len(indices))):
        count = len(indices) // parts + (part_index < len(indices) % parts)
        of = slice(start, start + count)
        part = ImageList(images.tensors[of], images.image_sizes[of])
        split.append((part, targets[of], indices[of]))
        start += count
    return split


def _keep_gradients_local(
    model: nn.Module, *, until_last: bool
) -> contextlib.AbstractContextManager[None]:
    """Synchronize gradients across ranks only in the backward pass of the last part."""
    if isinstance(model, DistributedDataParallel) and not until_last:
        return model.no_sync()
    return contextlib.nullcontext()


def _backward(
    model: nn.Module,
    part: Batch,
    device: torch.device | str,
    *,
    share: float,
    scaler: GradScaler,
) -> dict[str, Tensor]:
    """Add the gradient of ``share`` of a part's loss; return its losses, detached."""
    images, targets, _ = part
    losses: dict[str, Tensor] = model(
        images.to(device, non_blocking=True),
        [target.to(device, non_blocking=True) for target in targets],
    )
    total = torch.stack(list(losses.values())).sum()
    scaler.scale(share * total).backward()
    return {"loss": total.detach()} | {name: loss.detach() for name, loss in losses.items()}


def _spoil_gradients(optimizer: Optimizer) -> None:
    """Set all gradients to infinity so that the scaler skips the step on every rank.

    A non-finite loss may still have finite gradients.
    """
    for group in optimizer.param_groups:
        for weight in group["params"]:
            if weight.grad is not None:
                weight.grad.fill_(torch.inf)


def _clip(optimizer: Optimizer, options: StepOptions) -> dict[str, Tensor]:
    """Clip the gradients; return their norm before clipping if it was computed."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    if options.clip_value:
        clip_grad_value_(weights, options.clip_value)
    if not options.clip_norm:
        return {}
    return {"grad_norm": clip_grad_norm_(weights, options.clip_norm)}


def image_names(dataset: Any, indices: Sequence[int]) -> list[str]:
    """Return ``"id (file name)"`` of each image; its index if the data set has no names."""
    if not hasattr(dataset, "get_img_info"):
        return [f"index {index} of the data set" for index in indices]
    infos = [dataset.get_img_info(index) for index in indices]
    return [f"{info.get('id')} ({info.get('file_name', 'no file name')})" for info in infos]


def _describe(
    of_parts: Sequence[Mapping[str, Tensor]], indices: Sequence[Sequence[int]], dataset: Any
) -> str:
    """Return the error message, the same on all ranks; every rank must call this."""
    mine = "; ".join(
        f"{', '.join(bad)} on the images {', '.join(image_names(dataset, part))}"
        for losses, part in zip(of_parts, indices, strict=True)
        if (bad := _not_finite(losses))
    )
    everywhere = [f"process {rank}: {text}" for rank, text in enumerate(all_gather(mine)) if text]
    what = "; ".join(everywhere) or "The gradients overflow float16 at every scale of the loss"
    return (
        f"the loss is not finite: training stops before the weights are updated. {what}. "
        "Common causes: SOLVER.BASE_LR too high for the batch size, too short a warm-up, or wrong "
        "annotations of these images"
    )


def _not_finite(losses: Mapping[str, Tensor]) -> list[str]:
    """Return e.g. ``"loss_mask is nan"``; the sum is named only if it alone overflows."""
    bad = [f"{name} is {loss.item()}" for name, loss in losses.items() if not loss.isfinite()]
    return bad[1:] or bad
