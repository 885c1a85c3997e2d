"""Sampler of the recorded training runs: the first samples of each kind, not random ones."""

from collections.abc import Sequence

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
            positives.append(positive)
            negatives.append(negative)
        return positives, negatives
