"""Conversion of detections to pixels of the original image, with little memory."""

from collections.abc import Mapping
from typing import Any, Protocol

from maskrcnn_benchmark.structures import fields
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.mask_paste import Masker


class SizedDataset(Protocol):
    """A data set that knows the sizes of its images."""

    def get_img_info(self, index: int) -> Mapping[str, Any]:
        """Return at least ``width`` and ``height`` of the original image, in pixels."""
        ...


def original_size(dataset: SizedDataset, index: int) -> tuple[int, int]:
    """Return ``(width, height)`` of an original image."""
    info = dataset.get_img_info(index)
    return int(info["width"]), int(info["height"])


def to_original_frame(prediction: BoxList, size: tuple[int, int], masker: Masker | None) -> BoxList:
    """Convert the output for an image to pixels of the original image.

    Detections that are already in the original frame keep their values.

    Args:
        prediction: detections on the CPU in the frame of the resized image; ``mask`` is
            ``[N, 1, M, M]``.
        size: ``(width, height)`` of the original image.
        masker: pastes the masks, so that ``rles`` replaces ``mask``; None drops them.

    Raises:
        ValueError: the masks cannot be pasted, see ``Masker.rles``.
    """
    resized = prediction.resize(size)
    found = resized.copy_with_fields(())
    for name in resized.fields():
        value = resized.get_field(name)
        if name != fields.MASK:
            # a view would keep the tensor of the whole batch in memory
            found.add_field(name, value if name == fields.RLES else value.clone())
        elif masker is not None:
            found.add_field(fields.RLES, masker.rles(value, resized))
    return found
