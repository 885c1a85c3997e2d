"""Assign a ground truth to each prediction."""

from __future__ import annotations

import torch
from torch import Tensor


class Matcher:
    """Match each prediction with the ground truth of the highest quality (IoU).

    ``quality >= high_threshold`` is a match, below ``low_threshold`` is background, and what lies
    between is neither.

    Args:
        high_threshold: see above.
        low_threshold: see above; at most ``high_threshold``.
        allow_low_quality_matches: also match, for each ground truth, the predictions that tie for
            its best quality, whatever that is. Such a prediction is given its *own* best ground
            truth, which need not be the one that forced it (Faster R-CNN section 3.1.2, and the
            legacy of Detectron). A ground truth that overlaps nothing forces every prediction
            that it does not overlap.

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
            int64 ``[N]``: the index of the ground truth, or one of the two negative constants.
            Without ground truth everything is background.
        """
        num_gt, num_predictions = quality.shape
        if num_gt == 0:
            below = torch.full((num_predictions,), self.BELOW_LOW_THRESHOLD, device=quality.device)
            return below.long()
        best, best_gt = quality.max(dim=0)
        matches = torch.where(best >= self.low_threshold, self.BETWEEN_THRESHOLDS, best_gt)
        matches = torch.where(best < self.low_threshold, self.BELOW_LOW_THRESHOLD, matches)
        matched = best >= self.high_threshold
        if self.allow_low_quality_matches and num_predictions:
            best_of_gt = quality.max(dim=1, keepdim=True).values
            matched = matched | (quality == best_of_gt).any(dim=0)
        return torch.where(matched, best_gt, matches)
