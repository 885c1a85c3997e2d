"""The masks of all instances of one image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskrcnn_benchmark.structures.box_ops import PIXEL_OFFSET
from maskrcnn_benchmark.structures.instance_mask import InstanceMask, NoMask, make_instance_mask
from maskrcnn_benchmark.structures.rle import Rle


class SegmentationMask:
    """N instance masks of one image on the CPU; polygons and bitmaps may be mixed.

    An instance may lack a mask (``present``); then only its box is learned.

    Args:
        instances: the mask of each instance in any form that ``make_instance_mask`` accepts, None
            for an instance without a mask.
        size: ``(width, height)`` of the image.
        pixel_offset: convention of the corresponding boxes (``box_ops``); with inclusive boxes,
            flipped polygons are shifted by one pixel, as in the original.

    Raises:
        ValueError: a mask is invalid; the message has its index.
    """

    def __init__(
        self,
        instances: Sequence[Any],
        size: tuple[int, int],
        *,
        pixel_offset: float = PIXEL_OFFSET,
    ) -> None:
        self.size = size
        self.pixel_offset = pixel_offset
        self.instances: list[InstanceMask] = []
        for number, instance in enumerate(instances):
            try:
                self.instances.append(make_instance_mask(instance, size))
            except ValueError as error:
                raise ValueError(f"SegmentationMask: instance {number}: {error}") from error

    def _like(self, instances: Sequence[InstanceMask], size: tuple[int, int]) -> SegmentationMask:
        """Return a ``SegmentationMask`` of other masks with the same box convention."""
        return SegmentationMask(instances, size, pixel_offset=self.pixel_offset)

    def transpose(self, method: int) -> SegmentationMask:
        """Flip the masks: ``FLIP_LEFT_RIGHT`` or ``FLIP_TOP_BOTTOM``."""
        flipped = [m.transpose(method, self.size, self.pixel_offset) for m in self.instances]
        return self._like(flipped, self.size)

    def crop(self, box: Sequence[float]) -> SegmentationMask:
        """Crop to ``box`` (``x1, y1, x2, y2``); polygons are shifted but not clipped."""
        size = (box[2] - box[0], box[3] - box[1])
        return self._like([m.crop(box) for m in self.instances], size)  # type: ignore[arg-type]

    def resize(self, size: tuple[int, int]) -> SegmentationMask:
        """Scale to an image of ``(width, height)``; sides below one pixel count as one."""
        ratio_w, ratio_h = (
            float(new) / max(float(old), 1) for new, old in zip(size, self.size, strict=True)
        )
        return self._like([m.scale(ratio_w, ratio_h) for m in self.instances], size)

    def to(self, *args: Any, **kwargs: Any) -> SegmentationMask:
        """Return self: masks stay on the CPU."""
        del args, kwargs
        return self

    def present(self) -> Tensor:
        """Return which instances have a mask, bool ``[N]`` on the CPU."""
        present = [not isinstance(instance, NoMask) for instance in self.instances]
        return torch.tensor(present, dtype=torch.bool)

    def all_present(self) -> bool:
        """Return whether every instance has a mask."""
        return not any(isinstance(instance, NoMask) for instance in self.instances)

    def decode(self) -> NDArray[np.uint8]:
        """Return the masks as 0 and 1, ``[N, height, width]``; a missing mask is all 0."""
        width, height = (int(side) for side in self.size)
        masks = np.zeros((len(self), height, width), dtype=np.uint8)
        for canvas, instance in zip(masks, self.instances, strict=True):
            canvas[:] = instance.rasterize(height, width)
        return masks

    def areas(self) -> NDArray[np.int64]:
        """Return the pixel count ``[N]`` of each mask inside the image; 0 without a mask."""
        width, height = (int(side) for side in self.size)
        return np.array([m.area(height, width) for m in self.instances], dtype=np.int64)

    def to_rles(self) -> list[Rle | None]:
        """Return each mask as compressed COCO RLE with ``counts`` as str, ready for JSON.

        The entry of an instance without a mask is None. ``SegmentationMask`` accepts the result.
        """
        width, height = (int(side) for side in self.size)
        return [None if isinstance(m, NoMask) else m.to_rle(height, width) for m in self.instances]

    def __getitem__(self, index: Tensor | slice | int | Sequence[int]) -> SegmentationMask:
        if isinstance(index, int):
            index = [index]
        if isinstance(index, slice):
            return self._like(self.instances[index], self.size)
        index = torch.as_tensor(index)
        if index.dtype in (torch.bool, torch.uint8):
            index = index.nonzero().flatten()
        return self._like([self.instances[i] for i in index.tolist()], self.size)

    def __iter__(self) -> Iterator[SegmentationMask]:
        return (self[i] for i in range(len(self)))

    def __len__(self) -> int:
        return len(self.instances)

    def __repr__(self) -> str:
        return f"SegmentationMask(num_instances={len(self)}, size={self.size})"
