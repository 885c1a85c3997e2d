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
            The indices of the sampled positives and those of the sampled negatives of each image,
            int64 and ascending.
        """
        candidates = true_indices([wanted for of in labels for wanted in (of >= 1, of == 0)])
        drawn = [
            self._sample(*pair) for pair in zip(candidates[::2], candidates[1::2], strict=True)
        ]
        return [positive for positive, _ in drawn], [negative for _, negative in drawn]

    def _sample(self, positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
        num_positive = min(len(positive), int(self.batch_size_per_image * self.positive_fraction))
        num_negative = min(len(negative), self.batch_size_per_image - num_positive)
        return _draw(positive, num_positive), _draw(negative, num_negative)


def _draw(candidates: Tensor, count: int) -> Tensor:
    """Return ``count`` of the candidates ``[N]``, drawn randomly, in ascending order."""
    order = torch.randperm(len(candidates), device=candidates.device)[:count]
    return candidates[order].sort().values


def true_indices(masks: Sequence[Tensor]) -> list[Tensor]:
    """Return the indices of the true entries of each mask, int64 and ascending.

    How many there are is read from the device once for all masks, where each ``nonzero`` would wait
    for the device.

    Args:
        masks: at least one, bool ``[N_i]``.
    """
    counts = torch.stack([mask.count_nonzero() for mask in masks]).tolist()
    return [
        torch.nonzero_static(mask, size=count).flatten()
        for mask, count in zip(masks, counts, strict=True)
    ]
