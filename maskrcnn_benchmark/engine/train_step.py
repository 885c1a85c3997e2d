"""One step of training: losses, the guard against losses that are not finite, the update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.image_list import ImageList
from maskrcnn_benchmark.utils.comm import all_gather, any_process

Batch = tuple[ImageList, Sequence[BoxList], Sequence[int]]


class LossNotFiniteError(ArithmeticError):
    """A loss became infinite or NaN; the message tells which one, and on which images."""


def train_step(
    model: nn.Module,
    optimizer: Optimizer,
    batch: Batch,
    device: torch.device | str,
    *,
    dataset: Any = None,
) -> dict[str, Tensor]:
    """Update the weights by one batch.

    Args:
        model: maps ``(images, targets)`` to a dict of losses.
        optimizer: of its parameters.
        batch: images, targets, and their indices in the data set.
        device: where the model is.
        dataset: names the images in errors (``get_img_info``); None: by index.

    Returns:
        ``loss``, the sum, and the losses: 0-d tensors on the device, detached.

    Raises:
        LossNotFiniteError: on every process when a loss of any is infinite or NaN; the weights
            are as they were.
    """
    images, targets, indices = batch
    losses: dict[str, Tensor] = model(images.to(device), [target.to(device) for target in targets])
    total = torch.stack(list(losses.values())).sum()
    if any_process(~torch.isfinite(total)):
        raise LossNotFiniteError(_describe(losses, image_names(dataset, indices)))
    optimizer.zero_grad()
    total.backward()
    optimizer.step()
    return {"loss": total.detach()} | {name: loss.detach() for name, loss in losses.items()}


def image_names(dataset: Any, indices: Sequence[int]) -> list[str]:
    """Return ``"id (file name)"`` of each image, as far as the data set tells."""
    if not hasattr(dataset, "get_img_info"):
        return [f"number {index} of the data set" for index in indices]
    infos = [dataset.get_img_info(index) for index in indices]
    return [f"{info.get('id')} ({info.get('file_name', 'no file name')})" for info in infos]


def _describe(losses: Mapping[str, Tensor], images: Sequence[str]) -> str:
    """Word the error; every process must call it, and gets the same text."""
    values = {name: loss.item() for name, loss in losses.items()}
    bad = [f"{name} is {v}" for name, v in values.items() if not torch.isfinite(torch.tensor(v))]
    mine = f"{', '.join(bad)} on the images {', '.join(images)}" if bad else ""
    everywhere = [f"process {rank}: {text}" for rank, text in enumerate(all_gather(mine)) if text]
    return (
        f"the loss is not finite, the training stops before the weights change. "
        f"{'; '.join(everywhere) or f'The sum overflows on the images {images}'}. "
        "Usual causes: SOLVER.BASE_LR too high for the batch, too short a warm-up, or annotations "
        "of these images that make no sense"
    )
