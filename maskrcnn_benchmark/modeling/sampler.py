"""Sample the matched boxes that a loss is computed on."""

from collections.abc import Sequence

import torch
from torch import Tensor


class BalancedPositiveNegativeSampler:
    """Sample a fixed number of boxes per image with a maximum fraction of positives.

    Args:
        batch_size_per_image: number of boxes to sample per image.
        positive_fraction: maximum fraction of positives.
    """

    def __init__(self, batch_size_per_image: int, positive_fraction: float) -> None:
        self.batch_size_per_image = batch_size_per_image
        self.positive_fraction = positive_fraction

    def __call__(self, labels: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Sample from the labels ``[N]`` of each image: >= 1 positive, 0 negative, -1 ignored.

        Returns:
            The sampled positives and the sampled negatives, each bool ``[N]`` for each image.
        """
        drawn = [self._sample(labels_per_image) for labels_per_image in labels]
        return [positive for positive, _ in drawn], [negative for _, negative in drawn]

    def _sample(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        positive = (labels >= 1).nonzero().flatten()
        negative = (labels == 0).nonzero().flatten()
        num_positive = min(len(positive), int(self.batch_size_per_image * self.positive_fraction))
        num_negative = min(len(negative), self.batch_size_per_image - num_positive)
        return (
            _draw(positive, num_positive, len(labels)),
            _draw(negative, num_negative, len(labels)),
        )


def _draw(candidates: Tensor, count: int, length: int) -> Tensor:
    """Return bool ``[length]``, True at ``count`` indices drawn randomly from ``candidates``."""
    order = torch.randperm(len(candidates), device=candidates.device)[:count]
    drawn = torch.zeros(length, dtype=torch.bool, device=candidates.device)
    drawn[candidates[order]] = True
    return drawn
