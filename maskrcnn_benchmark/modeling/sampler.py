"""Choose which matched boxes a loss sees."""

from collections.abc import Sequence

import torch
from torch import Tensor


class BalancedPositiveNegativeSampler:
    """Draw a fixed number of boxes in each image, at most a given share of them positive.

    Args:
        batch_size_per_image: boxes to draw in an image.
        positive_fraction: the largest share of positives.
    """

    def __init__(self, batch_size_per_image: int, positive_fraction: float) -> None:
        self.batch_size_per_image = batch_size_per_image
        self.positive_fraction = positive_fraction

    def __call__(self, labels: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Draw from labels ``[N]`` of each image: >= 1 positive, 0 negative, -1 ignored.

        Returns:
            For each image the drawn positives and the drawn negatives, both bool ``[N]``.
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
    """Return bool ``[length]`` that is True at ``count`` random entries of ``candidates``."""
    order = torch.randperm(len(candidates), device=candidates.device)[:count]
    drawn = torch.zeros(length, dtype=torch.bool, device=candidates.device)
    drawn[candidates[order]] = True
    return drawn
