"""Sampler of the recorded training runs: the first samples of each kind, not random ones."""

from collections.abc import Sequence

import torch
from torch import Tensor


class FirstNSampler:
    def __init__(self, batch_size_per_image: int, positive_fraction: float) -> None:
        self.batch_size_per_image = batch_size_per_image
        self.positive_fraction = positive_fraction

    def __call__(self, labels: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        positives, negatives = [], []
        for label in labels:
            limit = int(self.batch_size_per_image * self.positive_fraction)
            positive = (label >= 1).nonzero().flatten()[:limit]
            rest = self.batch_size_per_image - len(positive)
            negative = (label == 0).nonzero().flatten()[:rest]
            for rows, out in ((positive, positives), (negative, negatives)):
                drawn = torch.zeros(len(label), dtype=torch.bool)
                drawn[rows] = True
                out.append(drawn)
        return positives, negatives
