"""Keypoints of the instances of one image, and named sets of keypoints.

Shapes: N instances, K keypoints each.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from maskrcnn_benchmark.structures.bounding_box import FLIP_LEFT_RIGHT, FLIP_TOP_BOTTOM, Index
from maskrcnn_benchmark.structures.box_ops import PIXEL_OFFSET

# whole words, or the single letters l and r
_SIDE = re.compile(r"left|right|(?<![a-z])[lr](?![a-z])", re.IGNORECASE)
_OTHER_SIDE = {"left": "right", "right": "left", "l": "r", "r": "l"}


class KeypointSet(NamedTuple):
    """The keypoints of a category.

    Attributes:
        keypoint_names: K names.
        skeleton: pairs of indices from 0, the limbs to draw.
    """

    keypoint_names: list[str]
    skeleton: list[list[int]]


NO_KEYPOINTS = KeypointSet([], [])
# for weights that do not store their keypoints; the limbs are upstream's
COCO_PERSON = KeypointSet(
    [
        *("nose", "left_eye", "right_eye", "left_ear", "right_ear"),
        *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow"),
        *("left_wrist", "right_wrist", "left_hip", "right_hip"),
        *("left_knee", "right_knee", "left_ankle", "right_ankle"),
    ],
    [
        *([1, 2], [1, 0], [2, 0], [2, 4], [1, 3], [6, 8], [8, 10], [5, 7], [7, 9]),
        *([12, 14], [14, 16], [11, 13], [13, 15], [6, 5], [12, 11]),
    ],
)


def flip_order(names: Sequence[str]) -> list[int]:
    """Return for each keypoint the index of the one that takes its place in a mirrored image.

    Keypoints whose names differ only in ``left`` and ``right`` (or the letters ``l`` and ``r`` on
    their own) change places, as ``left_eye`` and ``right_eye``; the others stay.
    """
    index_of = {name: index for index, name in enumerate(names)}
    mirrored = (_SIDE.sub(lambda side: _other_side(side[0]), name) for name in names)
    return [index_of.get(name, index) for index, name in enumerate(mirrored)]


def _other_side(word: str) -> str:
    """Return the opposite side, in the case of ``word``."""
    other = _OTHER_SIDE[word.lower()]
    if word.isupper():
        return other.upper()
    return other.capitalize() if word[0].isupper() else other


class Keypoints:
    """K keypoints of each of N instances of one image.

    Args:
        keypoints: ``x, y, v`` in pixels, ``[N, K, 3]`` or ``[N, 3 * K]``, a tensor or nested
            sequence; v is COCO's visibility: 0 not annotated, 1 hidden, 2 visible.
        size: ``(width, height)`` of the image.
        names: K names, by which flips exchange left and right; ``()`` if unknown.
        pixel_offset: convention of the corresponding boxes (``box_ops``).

    Attributes:
        keypoints: float ``[N, K, 3]``.

    Raises:
        ValueError: the shape is another one, or the number of names is not K.
    """

    def __init__(
        self,
        keypoints: Any,
        size: tuple[int, int],
        *,
        names: Sequence[str] = (),
        pixel_offset: float = PIXEL_OFFSET,
    ) -> None:
        data = torch.as_tensor(keypoints, dtype=torch.float32)
        if data.numel() == 0 and data.ndim < 3:
            data = data.new_zeros(len(data), len(names), 3)
        elif data.ndim == 2 and data.shape[1] % 3 == 0:
            data = data.unflatten(1, (-1, 3))
        if data.ndim != 3 or data.shape[2] != 3 or len(names) not in (0, data.shape[1]):
            raise ValueError(
                f"Keypoints: expected [N, K, 3] and K names or none, got {list(data.shape)} and "
                f"{len(names)} names"
            )
        self.keypoints = data
        self.size = size
        self.names = list(names)
        self.pixel_offset = pixel_offset
        self.extra_fields: dict[str, Tensor] = {}

    def add_field(self, name: str, value: Tensor) -> None:
        """Set field ``name`` to ``value``, ``[N, K, ...]``, such as the ``logits`` of a model.

        Raises:
            ValueError: the shape differs.
        """
        if value.shape[:2] != self.keypoints.shape[:2]:
            raise ValueError(
                f"Keypoints: field {name!r} is {list(value.shape)}, the keypoints are "
                f"{list(self.keypoints.shape)}"
            )
        self.extra_fields[name] = value

    def get_field(self, name: str) -> Tensor:
        """Return field ``name``."""
        return self.extra_fields[name]

    def has_field(self, name: str) -> bool:
        """Return whether there is a field ``name``."""
        return name in self.extra_fields

    def fields(self) -> list[str]:
        """Return the names of the fields."""
        return list(self.extra_fields)

    def _like(self, keypoints: Tensor, size: tuple[int, int]) -> Keypoints:
        """Return other keypoints with the same names and convention, and no fields."""
        return Keypoints(keypoints, size, names=self.names, pixel_offset=self.pixel_offset)

    def resize(self, size: tuple[int, int]) -> Keypoints:
        """Scale the keypoints to an image of ``(width, height)``."""
        ratios = [float(new) / float(old) for new, old in zip(size, self.size, strict=True)]
        made = self._like(self.keypoints * self.keypoints.new_tensor([*ratios, 1.0]), size)
        made.extra_fields = dict(self.extra_fields)
        return made

    def transpose(self, method: int) -> Keypoints:
        """Flip with the image: ``FLIP_LEFT_RIGHT`` or ``FLIP_TOP_BOTTOM``.

        Both mirror the object, so both exchange its left and its right. Keypoints that are not
        annotated become 0, 0, 0.

        Raises:
            ValueError: there are keypoints but no names, or the flip is unknown.
        """
        if method not in (FLIP_LEFT_RIGHT, FLIP_TOP_BOTTOM):
            raise ValueError(f"Keypoints: unknown flip {method!r}")
        if len(self) and not self.names:
            raise ValueError("Keypoints: a flip needs names, which tell left from right")
        axis = 0 if method == FLIP_LEFT_RIGHT else 1
        order = flip_order(self.names)
        data = self.keypoints[:, order].clone()
        data[..., axis] = self.size[axis] - self.pixel_offset - data[..., axis]
        made = self._like(data * (data[..., 2:] != 0), self.size)
        made.extra_fields = {name: value[:, order] for name, value in self.extra_fields.items()}
        return made

    def crop(self, box: Sequence[float]) -> Keypoints:
        """Crop to ``box`` (``x1, y1, x2, y2``); keypoints outside become 0, 0, 0."""
        size = (box[2] - box[0], box[3] - box[1])
        data = self.keypoints - self.keypoints.new_tensor([box[0], box[1], 0])
        inside = ((data[..., :2] >= 0) & (data[..., :2] < data.new_tensor(size))).all(dim=2)
        made = self._like(data * inside[..., None], size)  # type: ignore[arg-type]
        made.extra_fields = dict(self.extra_fields)
        return made

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Keypoints:
        """Move the keypoints and their fields to ``device``."""
        made = self._like(self.keypoints.to(device, non_blocking=non_blocking), self.size)
        made.extra_fields = {
            name: value.to(device, non_blocking=non_blocking)
            for name, value in self.extra_fields.items()
        }
        return made

    def clone(self) -> Keypoints:
        """Return a copy that shares no memory with this one."""
        made = self._like(self.keypoints.clone(), self.size)
        made.extra_fields = {name: value.clone() for name, value in self.extra_fields.items()}
        return made

    def __getitem__(self, index: Index) -> Keypoints:
        if isinstance(index, int):
            index = [index]
        made = self._like(self.keypoints[index], self.size)
        made.extra_fields = {name: value[index] for name, value in self.extra_fields.items()}
        return made

    def __len__(self) -> int:
        return len(self.keypoints)

    def __repr__(self) -> str:
        width, height = self.size
        count, each, _ = self.keypoints.shape
        return (
            f"Keypoints(num_instances={count}, num_keypoints={each}, image_width={width}, "
            f"image_height={height})"
        )


class PersonKeypoints(Keypoints):
    """The 17 keypoints of COCO's persons, see ``Keypoints``."""

    def __init__(self, keypoints: Any, size: tuple[int, int]) -> None:
        super().__init__(keypoints, size, names=COCO_PERSON.keypoint_names)
