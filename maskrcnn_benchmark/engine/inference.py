"""Run a model over a test set, gather the predictions of all processes, evaluate."""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from maskrcnn_benchmark.evaluation import COCOResults, evaluate_coco
from maskrcnn_benchmark.evaluation.predictions_file import save_predictions
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.utils.comm import (
    all_gather,
    get_world_size,
    is_main_process,
    synchronize,
)

from .progress import progress_bar


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put the model in evaluation mode without gradients, and back in its mode afterwards."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)


def compute_on_dataset(
    model: nn.Module, data_loader: DataLoader[Any], device: torch.device | str
) -> dict[int, BoxList]:
    """Return the predictions for the loader's images by their index in the data set.

    Args:
        model: in evaluation it maps images to a list of BoxLists; its mode is restored.
        data_loader: yields ``(ImageList, targets, indices)``.
        device: where the model is.

    Returns:
        Boxes on the CPU, in pixels of the resized image.
    """
    predictions: dict[int, BoxList] = {}
    with evaluating(model), progress_bar(len(data_loader), unit="batch") as bar:
        for images, _, indices in data_loader:
            output = model(images.to(device))
            predictions.update(zip(indices, (boxes.to("cpu") for boxes in output), strict=True))
            bar.update()
    return predictions


def gather_predictions(own: dict[int, BoxList], num_images: int) -> list[BoxList] | None:
    """Return all processes' predictions in the order of the data set; None but on the main one.

    Raises:
        RuntimeError: an image has no prediction.
    """
    shards = all_gather(own)
    if not is_main_process():
        return None
    merged = {index: boxes for shard in shards for index, boxes in shard.items()}
    missing = [index for index in range(num_images) if index not in merged]
    if missing:
        raise RuntimeError(
            f"{len(missing)} of {num_images} images have no prediction, such as numbers "
            f"{missing[:5]}: the test loader did not yield them"
        )
    return [merged[index] for index in range(num_images)]


def inference(
    model: nn.Module,
    data_loader: DataLoader[Any],
    dataset_name: str,
    iou_types: Sequence[str] = ("bbox",),
    box_only: bool = False,
    *,
    device: torch.device | str = "cuda",
    expected_results: Sequence[Sequence[Any]] = (),
    expected_results_sigma_tol: float = 4,
    output_folder: str | Path | None = None,
) -> COCOResults | None:
    """Predict and evaluate a test set.

    Args:
        model: see ``compute_on_dataset``.
        data_loader: of the test set, this process' part of it.
        dataset_name: for the log.
        iou_types: ``bbox``, ``segm``.
        box_only: evaluate proposals (a model without box head).
        device: where the model is.
        expected_results: TEST.EXPECTED_RESULTS, checked and logged.
        expected_results_sigma_tol: how many standard deviations are allowed.
        output_folder: gets ``predictions.pth`` and the files of ``evaluate_coco``.

    Returns:
        The results on the main process, None on the others.
    """
    logger = logging.getLogger("maskrcnn_benchmark.inference")
    dataset: Any = data_loader.dataset
    logger.info(f"Start evaluation on {dataset_name} ({len(dataset)} images)")
    began = time.perf_counter()
    own = compute_on_dataset(model, data_loader, device)
    synchronize()
    seconds = time.perf_counter() - began
    logger.info(
        f"Total inference time: {datetime.timedelta(seconds=int(seconds))} "
        f"({seconds * get_world_size() / max(len(dataset), 1):.4f} s / img per device, "
        f"on {get_world_size()} devices)"
    )
    predictions = gather_predictions(own, len(dataset))
    if predictions is None:
        return None
    if output_folder is not None:
        Path(output_folder).mkdir(parents=True, exist_ok=True)
        save_predictions(predictions, Path(output_folder) / "predictions.pth")
    return evaluate_coco(
        dataset,
        predictions,
        iou_types=iou_types,
        box_only=box_only,
        output_folder=output_folder,
        expected_results=expected_results,
        expected_results_sigma_tol=expected_results_sigma_tol,
    )
