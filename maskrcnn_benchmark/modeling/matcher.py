"""Assign a ground truth to each prediction."""

import torch
from torch import Tensor

from maskrcnn_benchmark.layers import has_extension
from maskrcnn_benchmark.structures.box_ops import box_iou

# number of IoUs computed at once: 4 MB in float32, which fit into the cache of a CPU
MAX_PAIRS = 1 << 20


class Matcher:
    """Match each prediction with its best ground truth by quality (IoU).

    ``quality >= high_threshold`` is a match, ``quality < low_threshold`` is background, and values
    in between are ignored. A quality of NaN, which occurs for boxes without area or when training
    has diverged, is never a match.

    Args:
        high_threshold: lowest quality of a match.
        low_threshold: upper bound of background; at most ``high_threshold``.
        allow_low_quality_matches: whether to also match, for each ground truth, the predictions
            that tie for its best quality, however low. Such a prediction is assigned its *own*
            best ground truth, which may differ from the one that caused the match (Faster R-CNN,
            section 3.1.2, as in Detectron). A ground truth without any overlap has the best
            quality 0 and so matches every prediction that does not overlap it.

    Raises:
        ValueError: ``low_threshold > high_threshold``.
    """

    BELOW_LOW_THRESHOLD = -1
    BETWEEN_THRESHOLDS = -2

    def __init__(
        self, high_threshold: float, low_threshold: float, allow_low_quality_matches: bool = False
    ) -> None:
        if low_threshold > high_threshold:
            raise ValueError(f"Matcher: low {low_threshold} is above high {high_threshold}")
        self.high_threshold = high_threshold
        self.low_threshold = low_threshold
        self.allow_low_quality_matches = allow_low_quality_matches

    def __call__(self, quality: Tensor) -> Tensor:
        """Match N predictions.

        Args:
            quality: ``[G, N]``, the IoU of each ground truth with each prediction.

        Returns:
            int64 ``[N]``: the index of the ground truth, ``BELOW_LOW_THRESHOLD`` or
            ``BETWEEN_THRESHOLDS``. Without ground truth everything is background.
        """
        if quality.shape[0] == 0:
            below = self.BELOW_LOW_THRESHOLD
            return torch.full(quality.shape[1:], below, dtype=torch.int64, device=quality.device)
        quality = _without_nan(quality)
        best, best_gt = quality.max(dim=0)
        matches = self._by_thresholds(best, best_gt)
        if not self.allow_low_quality_matches or quality.shape[1] == 0:
            return matches
        return torch.where(_is_best_of_any(quality, quality.amax(dim=1)), best_gt, matches)

    def match_boxes(
        self,
        gt_boxes: Tensor,
        boxes: Tensor,
        pixel_offset: float,
        *,
        max_pairs: int = MAX_PAIRS,
    ) -> Tensor:
        """Match boxes by their IoU with the ground truth, with bounded memory.

        The result equals ``matcher(box_iou(...))``. On the CPU a compiled operator stores none of
        the IoUs. Elsewhere, if there are more than ``max_pairs`` pairs, the boxes are processed in
        chunks and in two passes, because the best quality of a ground truth is known only after all
        boxes.

        Args:
            gt_boxes: corners ``[G, 4]``.
            boxes: corners ``[N, 4]``.
            pixel_offset: box convention of both (``box_ops``).
            max_pairs: number of pairs processed at once; a few matrices of this size are in
                memory at the same time.

        Returns:
            int64 ``[N]``, as in ``__call__``.
        """
        if len(gt_boxes) > 0 and boxes.device.type == "cpu" and has_extension():
            best, best_gt, is_best = torch.ops.maskrcnn_benchmark.match_boxes(
                gt_boxes.detach().to(boxes.dtype), boxes.detach(), pixel_offset
            )
            found = self._by_thresholds(best, best_gt)
            if not self.allow_low_quality_matches:
                return found
            return torch.where(is_best, best_gt, found)
        chunks = boxes.split(max(max_pairs // max(len(gt_boxes), 1), 1))
        if len(chunks) == 1 or len(gt_boxes) == 0:
            return self(box_iou(gt_boxes, boxes, pixel_offset))
        matches, best_gts = [], []
        best_of_gt = gt_boxes.new_full((len(gt_boxes),), -torch.inf)
        for chunk in chunks:
            quality = _without_nan(box_iou(gt_boxes, chunk, pixel_offset))
            best, best_gt = quality.max(dim=0)
            matches.append(self._by_thresholds(best, best_gt))
            best_gts.append(best_gt)
            best_of_gt = torch.maximum(best_of_gt, quality.amax(dim=1))
        if self.allow_low_quality_matches:
            for number, chunk in enumerate(chunks):
                forced = _is_best_of_any(
                    _without_nan(box_iou(gt_boxes, chunk, pixel_offset)), best_of_gt
                )
                matches[number] = torch.where(forced, best_gts[number], matches[number])
        return torch.cat(matches)

    def _by_thresholds(self, best: Tensor, best_gt: Tensor) -> Tensor:
        """Return the matches ``[N]`` given by the best qualities ``[N]`` and the thresholds."""
        matches = best_gt.masked_fill(best < self.high_threshold, self.BETWEEN_THRESHOLDS)
        return matches.masked_fill(best < self.low_threshold, self.BELOW_LOW_THRESHOLD)


def _is_best_of_any(quality: Tensor, best_of_gt: Tensor) -> Tensor:
    """Return which predictions (bool ``[N]``) tie for the best quality of any ground truth."""
    return ((quality == best_of_gt[:, None]) & (quality > -torch.inf)).any(dim=0)


def _without_nan(quality: Tensor) -> Tensor:
    """Return the quality with NaN replaced by -inf, which matches nothing."""
    return quality.masked_fill(quality.isnan(), -torch.inf)
