"""Inference on a test set: predict on each rank, gather the predictions, evaluate."""

import datetime
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from maskrcnn_benchmark.engine.progress import progress_bar
from maskrcnn_benchmark.engine.stop_request import StoppableLoader
from maskrcnn_benchmark.evaluation import EVALUATIONS, COCOResults
from maskrcnn_benchmark.evaluation.mode import evaluating
from maskrcnn_benchmark.evaluation.original_frame import original_size, to_original_frame
from maskrcnn_benchmark.evaluation.predictions_file import load_predictions, save_predictions
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.mask_paste import Masker
from maskrcnn_benchmark.utils.comm import (
    all_gather,
    get_rank,
    get_world_size,
    is_main_process,
    synchronize,
)
from maskrcnn_benchmark.utils.user_error import UserError

TestLoader = DataLoader[Any] | StoppableLoader
_SECONDS_FOR_A_FILE = 30


def compute_on_dataset(
    model: nn.Module, data_loader: TestLoader, device: torch.device | str, masker: Masker
) -> dict[int, BoxList]:
    """Predict on all images of a loader; return the predictions by data set index.

    The masks of each batch are pasted right away, so that only boxes, scores and RLEs are kept in
    memory.

    Args:
        model: maps images to a list of BoxLists in evaluation mode; its mode is restored.
        data_loader: yields ``(ImageList, targets, indices)``; its data set provides the original
            image sizes.
        device: device of the model.
        masker: pastes the masks.

    Returns:
        Boxes on the CPU, in pixels of the original image, with ``rles`` in place of ``mask``.
    """
    dataset: Any = data_loader.dataset
    predictions: dict[int, BoxList] = {}
    with evaluating(model), progress_bar(len(data_loader), unit="batch") as bar:
        for images, _, indices in data_loader:
            output = model(images.to(device))
            for index, boxes in zip(indices, output, strict=True):
                size = original_size(dataset, index)
                predictions[index] = to_original_frame(boxes.to("cpu"), size, masker)
            bar.update()
    return predictions


def gather_predictions(
    own: dict[int, BoxList], num_images: int, folder: Path | None
) -> list[BoxList] | None:
    """Return the predictions of all ranks in the order of the data set; None except on rank 0.

    Ranks exchange predictions through files, which avoids pickled copies in memory.

    Args:
        own: predictions of this rank by image index.
        num_images: number of images in the data set.
        folder: folder for temporary files, shared by all ranks.

    Raises:
        ValueError: no folder is given in a job of several processes.
        RuntimeError: an image has no prediction, or the folder is not shared.
    """
    merged = own if get_world_size() == 1 else _gather_through_files(own, folder)
    if not is_main_process():
        return None
    missing = [index for index in range(num_images) if index not in merged]
    if missing:
        raise RuntimeError(
            f"{len(missing)} of {num_images} images have no prediction, such as indices "
            f"{missing[:5]}: the test loader did not yield them"
        )
    return [merged[index] for index in range(num_images)]


def _gather_through_files(own: dict[int, BoxList], folder: Path | None) -> dict[int, BoxList]:
    """Return the predictions of all ranks on rank 0, and an empty dict on the other ranks."""
    if folder is None:
        raise ValueError("inference by several processes needs an output_folder that they share")
    folder.mkdir(parents=True, exist_ok=True)
    indices = sorted(own)
    save_predictions([own[index] for index in indices], _shard(folder, get_rank()))
    indices_by_rank = all_gather(indices)  # acts as a barrier: all files are complete afterwards
    if not is_main_process():
        return {}
    merged: dict[int, BoxList] = {}
    for rank, indices in enumerate(indices_by_rank):
        merged.update(zip(indices, _take_shard(folder, rank), strict=True))
    return merged


def _shard(folder: Path, rank: int) -> Path:
    return folder / f"predictions_of_process_{rank}.pth"


def _take_shard(folder: Path, rank: int) -> list[BoxList]:
    """Read and delete the file of one rank; on a network drive it may appear with a delay."""
    path = _shard(folder, rank)
    deadline = time.monotonic() + _SECONDS_FOR_A_FILE
    while not path.is_file():
        if time.monotonic() > deadline:
            raise RuntimeError(
                f"the predictions of process {rank} are not in {folder.absolute()}: all machines "
                "of a job must share the folder of the results (OUTPUT_DIR)"
            )
        time.sleep(0.2)
    predictions = load_predictions(path)
    path.unlink()
    return predictions


def inference(  # noqa: PLR0913 - settings by keyword
    model: nn.Module,
    data_loader: TestLoader,
    dataset_name: str,
    iou_types: Sequence[str] = ("bbox",),
    box_only: bool = False,
    *,
    device: torch.device | str = "cuda",
    masker: Masker | None = None,
    coco_options: Mapping[str, Any] | None = None,
    expected_results: Sequence[Sequence[Any]] = (),
    expected_results_sigma_tol: float = 4,
    output_folder: str | Path | None = None,
) -> COCOResults | None:
    """Run inference and evaluation on a test set.

    Args:
        model: see ``compute_on_dataset``.
        data_loader: loader of this rank's share of the test set.
        dataset_name: name of the test set, for logging.
        iou_types: tasks to evaluate: ``bbox``, ``segm`` and ``keypoints``.
        box_only: whether to evaluate proposals (for a model without a box head).
        device: device of the model.
        masker: pastes the masks, see ``make_masker``; None: the original's rule, threshold 0.5.
        coco_options: further arguments of ``evaluate_coco``, if the metric is COCO's.
        expected_results: see ``check_expected_results``.
        expected_results_sigma_tol: see ``check_expected_results``.
        output_folder: folder for ``predictions.pth`` and the evaluation files; required, and shared
            by all ranks, in a distributed job.

    Returns:
        The results on rank 0, None on the other ranks.
    """
    dataset: Any = data_loader.dataset
    metric = getattr(dataset, "metric", "coco")
    _check_metric(metric, iou_types, dataset_name)
    logging.getLogger("maskrcnn_benchmark.inference").info(
        f"Start evaluation on {dataset_name} ({len(dataset)} images)"
    )
    began = time.perf_counter()
    own = compute_on_dataset(model, data_loader, device, masker or Masker())
    synchronize()
    _log_speed(time.perf_counter() - began, len(dataset))
    folder = None if output_folder is None else Path(output_folder)
    predictions = gather_predictions(own, len(dataset), folder)
    if predictions is None:
        return None
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        save_predictions(predictions, folder / "predictions.pth")
    return EVALUATIONS[metric](
        dataset,
        predictions,
        iou_types=iou_types,
        box_only=box_only,
        output_folder=folder,
        expected_results=expected_results,
        expected_results_sigma_tol=expected_results_sigma_tol,
        **((coco_options or {}) if metric == "coco" else {}),
    )


def _check_metric(metric: str, iou_types: Sequence[str], dataset_name: str) -> None:
    """Raise a ``UserError`` if a metric other than COCO's is to evaluate keypoints."""
    if "keypoints" in iou_types and metric != "coco":
        raise UserError(
            f"data set {dataset_name!r} is evaluated by the metric {metric!r}, which has no "
            "keypoints: set MODEL.KEYPOINT_ON False"
        )


def _log_speed(seconds: float, num_images: int) -> None:
    logging.getLogger("maskrcnn_benchmark.inference").info(
        f"Total inference time: {datetime.timedelta(seconds=int(seconds))} "
        f"({seconds * get_world_size() / max(num_images, 1):.4f} s / img per device, "
        f"on {get_world_size()} devices)"
    )
