"""Evaluation of boxes and masks by Cityscapes' instance AP."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from maskrcnn_benchmark.evaluation.cityscapes_ap import Overlaps, average_precisions
from maskrcnn_benchmark.evaluation.coco_results import (
    SEGM_BY_CLASS_SCORE,
    COCOResults,
    report_results,
)
from maskrcnn_benchmark.evaluation.original_frame import to_original_frame
from maskrcnn_benchmark.structures import fields
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.mask_paste import Masker
from maskrcnn_benchmark.structures.rle import decode_rle

Ints = NDArray[np.int64]
Masks = Sequence[NDArray[np.uint8]]


class CityscapesStyleDataset(Protocol):
    """Interface of a data set for Cityscapes' evaluation.

    Attributes:
        class_names: name of each label; index 0 is the background.
    """

    class_names: Sequence[str]

    def get_groundtruth(self, index: int) -> BoxList:
        """Return the boxes in pixels of the original image, with ``labels`` and ``masks``."""
        ...


def evaluate_cityscapes(
    dataset: CityscapesStyleDataset,
    predictions: Sequence[BoxList],
    *,
    iou_types: Sequence[str] = ("bbox",),
    box_only: bool = False,
    masker: Masker | None = None,
    output_folder: str | Path | None = None,
    expected_results: Sequence[Sequence[Any]] = (),
    expected_results_sigma_tol: float = 4,
) -> COCOResults:
    """Evaluate predictions, log the results and write the result files.

    As in maskrcnn-benchmark, boxes are cut to whole pixels, and the pixels of a mask outside its
    box do not count; a prediction without a pixel is dropped.

    Args:
        dataset: the ground truth.
        predictions: one list per image in data set order, on the CPU, in the frame of the resized
            or the original image, with ``labels`` and ``scores``.
        iou_types: ``bbox``, ``segm``. If the predictions have mask scores, ``segm`` ranks the masks
            by them and ``segm_by_class_score`` ranks them by class score.
        box_only: not supported by this metric.
        masker: pastes masks that are not pasted yet; None: the original's rule, threshold 0.5.
        output_folder: folder for ``cityscapes_results.pth`` and ``results.json``; None: no files.
        expected_results: see ``check_expected_results``.
        expected_results_sigma_tol: see ``check_expected_results``.

    Returns:
        ``AP``, ``AP50`` and ``AP75`` of each task and the AP of each class; other metrics stay -1.

    Raises:
        ValueError: ``box_only`` is set, or ``segm`` is requested of predictions without masks.
    """
    if box_only:
        raise ValueError(
            "Cityscapes' metric evaluates detections, not proposals: use a data set *_cocostyle"
        )
    tasks = list(iou_types)
    if "segm" in tasks and any(p.has_field(fields.MASK_SCORES) for p in predictions):
        tasks.append(SEGM_BY_CLASS_SCORE)
    results = COCOResults(*tasks)
    found: dict[str, list[Overlaps]] = {task: [] for task in tasks}
    for index, prediction in enumerate(predictions):
        gt = dataset.get_groundtruth(index)
        own = to_original_frame(prediction, gt.size, masker or Masker())
        for task, overlaps in image_overlaps(gt, own, tasks).items():
            found[task].append(overlaps)
    for task, images in found.items():
        _add_metrics(results, task, images, dataset.class_names)
    logging.getLogger(__name__).info("The metrics are Cityscapes' instance AP")
    report_results(
        results,
        "cityscapes_results.pth",
        folder=output_folder,
        expected_results=expected_results,
        sigma_tol=expected_results_sigma_tol,
    )
    return results


def _add_metrics(
    results: COCOResults, task: str, images: Sequence[Overlaps], class_names: Sequence[str]
) -> None:
    """Set the metrics of a task and the AP of each class."""
    aps = {
        name: average_precisions(images, label) for label, name in enumerate(class_names) if label
    }
    results.per_class[task] = {name: _known(ap) for name, ap in aps.items()}
    table = np.stack(list(aps.values()))  # [K, T]
    means = {"AP": table, "AP50": table[:, 0], "AP75": table[:, 5]}
    results[task].update({name: _known(values) for name, values in means.items()})


def _known(aps: NDArray[np.float64]) -> float:
    """Return the mean without NaN; -1 if there is nothing else, as in COCO's metrics."""
    known = aps[~np.isnan(aps)]
    return float(known.mean()) if known.size else -1.0


def _whole(boxes: Tensor) -> Ints:
    """Return the corners of boxes, cut to whole pixels."""
    corners: Ints = boxes.double().numpy().astype(np.int64)
    return corners


def image_overlaps(gt: BoxList, predicted: BoxList, tasks: Sequence[str]) -> dict[str, Overlaps]:
    """Return the overlaps of one image for each task.

    Args:
        gt: ground truth in pixels of the original image, with ``labels`` and, for masks, ``masks``.
        predicted: predictions in the same frame, with ``labels``, ``scores`` and, for masks,
            ``rles``.
        tasks: ``bbox``, ``segm``, ``segm_by_class_score``.
    """
    found = {}
    if "bbox" in tasks:
        found["bbox"] = _overlaps(gt, predicted, _shared_by_boxes(gt, predicted), fields.SCORES)
    if "segm" in tasks:
        shared = _shared_by_masks(gt, predicted)
        has_mask_scores = predicted.has_field(fields.MASK_SCORES)
        ranking = fields.MASK_SCORES if has_mask_scores else fields.SCORES
        found["segm"] = _overlaps(gt, predicted, shared, ranking)
        if SEGM_BY_CLASS_SCORE in tasks:
            found[SEGM_BY_CLASS_SCORE] = _overlaps(gt, predicted, shared, fields.SCORES)
    return found


class _Shared(NamedTuple):
    """Sizes of ground truth ``[G]`` and predictions ``[P]``, and their shared pixels ``[G, P]``."""

    gt_sizes: Ints
    sizes: Ints
    pixels: Ints


def _shared_by_boxes(gt: BoxList, predicted: BoxList) -> _Shared:
    """Compare boxes; their last row and column are left out."""
    theirs, ours = _whole(gt.xyxy()), _whole(predicted.xyxy())
    corner = np.maximum(theirs[:, None, :2], ours[None, :, :2])
    far_corner = np.minimum(theirs[:, None, 2:], ours[None, :, 2:])
    return _Shared(_areas(theirs), _areas(ours), (far_corner - corner).clip(min=0).prod(axis=2))


def _areas(boxes: Ints) -> Ints:
    areas: Ints = (boxes[:, 2:] - boxes[:, :2]).clip(min=0).prod(axis=1)
    return areas


def _shared_by_masks(gt: BoxList, predicted: BoxList) -> _Shared:
    """Compare masks, each within its box."""
    if len(predicted) and not predicted.has_field(fields.RLES):
        raise ValueError("segm was requested, but the model predicts no masks (MODEL.MASK_ON)")
    rles = predicted.get_field(fields.RLES).dicts() if len(predicted) else []
    theirs, ours = _whole(gt.xyxy()), _whole(predicted.xyxy())
    truth = _within(list(gt.get_field(fields.MASKS).decode()), theirs)
    inside = _within([decode_rle(rle) for rle in rles], ours)
    pixels = np.zeros((len(truth), len(inside)), dtype=np.int64)
    for row, box in enumerate(theirs):
        for column, other in enumerate(ours):
            x1, y1 = np.maximum(box[:2], other[:2]).clip(min=0)
            x2, y2 = np.minimum(box[2:], other[2:]).clip(min=0)
            window = np.s_[y1:y2, x1:x2]
            pixels[row, column] = np.count_nonzero(truth[row][window] & inside[column][window])
    return _Shared(_counts(truth), _counts(inside), pixels)


def _within(masks: Masks, boxes: Ints) -> Masks:
    """Return masks ``[H, W]`` without their pixels outside of boxes."""
    cut = []
    for mask, box in zip(masks, boxes, strict=True):
        x1, y1, x2, y2 = box.clip(min=0)
        part = np.zeros_like(mask)
        part[y1:y2, x1:x2] = mask[y1:y2, x1:x2]
        cut.append(part)
    return cut


def _counts(masks: Masks) -> Ints:
    return np.array([np.count_nonzero(mask) for mask in masks], dtype=np.int64)


def _overlaps(gt: BoxList, predicted: BoxList, shared: _Shared, ranking: str) -> Overlaps:
    """Return the overlaps without the predictions that have no pixel."""
    kept = shared.sizes > 0
    return Overlaps(
        gt.get_field(fields.LABELS).numpy(),
        shared.gt_sizes,
        predicted.get_field(fields.LABELS).numpy()[kept],
        predicted.get_field(ranking).double().numpy()[kept],
        shared.sizes[kept],
        shared.pixels[:, kept],
    )
