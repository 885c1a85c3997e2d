"""Masks of one image that were pasted into it, as COCO RLE."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class RleMasks:
    """N binary masks of the size of their image.

    Attributes:
        size: ``(width, height)`` of the image.
        counts: the compressed COCO RLE of each mask.
    """

    size: tuple[int, int]
    counts: Sequence[str]

    def __len__(self) -> int:
        return len(self.counts)

    def __getitem__(self, index: Any) -> RleMasks:
        """Return the masks of a slice, of a list of numbers, or of a bool or int64 tensor."""
        rows = torch.arange(len(self))[index].tolist()
        return RleMasks(self.size, [self.counts[row] for row in rows])

    def resize(self, size: tuple[int, int]) -> RleMasks:
        """Return the masks at ``size``, which must be their own.

        Raises:
            ValueError: it is another size.
        """
        if tuple(size) != tuple(self.size):
            raise ValueError(
                f"masks are pasted into an image of {self.size} pixels; they cannot be resized "
                f"to {size}"
            )
        return self

    def dicts(self) -> list[dict[str, Any]]:
        """Return each mask as COCO's json has it: ``size`` (height, width) and ``counts``."""
        width, height = self.size
        return [{"size": [height, width], "counts": counts} for counts in self.counts]
