"""``BoxList``: the boxes of one image with named per-box fields."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from maskrcnn_benchmark.structures.box_ops import PIXEL_OFFSET, box_area, clip_boxes

FLIP_LEFT_RIGHT = 0
FLIP_TOP_BOTTOM = 1

Index = Tensor | slice | int | Sequence[int]


class BoxList:
    """N boxes of one image with named fields of length N.

    Fields that are not tensors (``SegmentationMask``) implement ``resize``, ``crop`` and
    ``transpose`` and are transformed with the boxes.

    Args:
        bbox: ``[N, 4]``, a tensor or nested sequence; ``x1, y1, x2, y2`` or ``x, y, width, height``
            in pixels.
        image_size: ``(width, height)`` of the image.
        mode: ``"xyxy"`` or ``"xywh"``.
        pixel_offset: difference between the width of a box and ``x2 - x1``: 1 for inclusive boxes,
            0 for continuous ones (``box_ops``). Derived lists inherit it.

    Raises:
        ValueError: ``bbox`` is not ``[N, 4]`` or ``mode`` is unknown.
    """

    def __init__(
        self,
        bbox: Any,
        image_size: tuple[int, int],
        mode: str = "xyxy",
        *,
        pixel_offset: float = PIXEL_OFFSET,
    ) -> None:
        if not isinstance(bbox, Tensor):
            bbox = torch.as_tensor(bbox, dtype=torch.float32)
            bbox = bbox.reshape(0, 4) if bbox.numel() == 0 else bbox
        if bbox.ndim != 2 or bbox.shape[-1] != 4:
            raise ValueError(f"BoxList: bbox should be [N, 4], got {list(bbox.shape)}")
        if mode not in ("xyxy", "xywh"):
            raise ValueError(f"BoxList: mode should be 'xyxy' or 'xywh', got {mode!r}")
        self.bbox = bbox if bbox.is_floating_point() else bbox.float()
        self.size = image_size
        self.mode = mode
        self.pixel_offset = pixel_offset
        self.extra_fields: dict[str, Any] = {}

    def add_field(self, name: str, value: Any) -> None:
        """Set field ``name`` to ``value``, which has one entry per box.

        Raises:
            ValueError: the lengths differ.
        """
        if len(value) != len(self):
            raise ValueError(
                f"BoxList: field {name!r} has {len(value)} entries for {len(self)} boxes"
            )
        self.extra_fields[name] = value

    def get_field(self, name: str) -> Any:
        """Return field ``name``.

        Raises:
            KeyError: there is no such field; the message lists the existing ones.
        """
        if name not in self.extra_fields:
            raise KeyError(f"BoxList: no field {name!r}; it has {sorted(self.extra_fields)}")
        return self.extra_fields[name]

    def has_field(self, name: str) -> bool:
        """Return whether the list has a field ``name``."""
        return name in self.extra_fields

    def fields(self) -> list[str]:
        """Return the names of the fields."""
        return list(self.extra_fields)

    def xyxy(self) -> Tensor:
        """Return the boxes ``[N, 4]`` as corners, in either mode."""
        if self.mode == "xyxy":
            return self.bbox
        corner, sizes = self.bbox[:, :2], self.bbox[:, 2:]
        return torch.cat([corner, corner + (sizes - self.pixel_offset).clamp(min=0)], dim=1)

    def _like(self, bbox: Tensor, size: tuple[int, int]) -> BoxList:
        """Return a list with the same mode and box convention, but other boxes and no fields."""
        return BoxList(bbox, size, self.mode, pixel_offset=self.pixel_offset)

    def _with_boxes(self, corners: Tensor, size: tuple[int, int]) -> BoxList:
        """Return a list with the same mode and box convention from corners, without fields."""
        if self.mode == "xywh":
            sizes = corners[:, 2:] - corners[:, :2] + self.pixel_offset
            corners = torch.cat([corners[:, :2], sizes], dim=1)
        return self._like(corners, size)

    def convert(self, mode: str) -> BoxList:
        """Return the same boxes in ``mode``, with the same fields."""
        if mode == self.mode:
            return self
        boxes = BoxList(self.bbox, self.size, mode, pixel_offset=self.pixel_offset)
        boxes.bbox = boxes._with_boxes(self.xyxy(), self.size).bbox
        boxes.extra_fields = dict(self.extra_fields)
        return boxes

    def resize(self, size: tuple[int, int]) -> BoxList:
        """Scale the boxes to an image of ``(width, height)``."""
        ratio_w, ratio_h = (
            float(new) / float(old) for new, old in zip(size, self.size, strict=True)
        )
        if ratio_w == ratio_h:
            # legacy: the coordinates of the current mode are scaled as they are, not x2 - x1 + 1
            boxes = self._like(self.bbox * ratio_w, size)
        else:
            corners = self.xyxy()
            ratios = corners.new_tensor([ratio_w, ratio_h, ratio_w, ratio_h])
            boxes = self._with_boxes(corners * ratios, size)
        for name, value in self.extra_fields.items():
            boxes.add_field(name, value if isinstance(value, Tensor) else value.resize(size))
        return boxes

    def transpose(self, method: int) -> BoxList:
        """Flip the boxes with the image: ``FLIP_LEFT_RIGHT`` or ``FLIP_TOP_BOTTOM``."""
        width, height = self.size
        x1, y1, x2, y2 = self.xyxy().unbind(dim=1)
        if method == FLIP_LEFT_RIGHT:
            x1, x2 = width - x2 - self.pixel_offset, width - x1 - self.pixel_offset
        elif method == FLIP_TOP_BOTTOM:
            # legacy: one pixel off from the horizontal flip for inclusive boxes, as in the original
            y1, y2 = height - y2, height - y1
        else:
            raise ValueError(f"BoxList: unknown flip {method!r}")
        boxes = self._with_boxes(torch.stack([x1, y1, x2, y2], dim=1), self.size)
        for name, value in self.extra_fields.items():
            boxes.add_field(name, value if isinstance(value, Tensor) else value.transpose(method))
        return boxes

    def crop(self, box: Sequence[float]) -> BoxList:
        """Crop to ``box`` (``x1, y1, x2, y2``); boxes without area are kept."""
        size = (box[2] - box[0], box[3] - box[1])
        corners = self.xyxy()
        moved = corners - corners.new_tensor([box[0], box[1], box[0], box[1]])
        limits = corners.new_tensor([*size, *size])
        boxes = self._with_boxes(moved.clamp(min=0).minimum(limits), size)  # type: ignore[arg-type]
        for name, value in self.extra_fields.items():
            boxes.add_field(name, value if isinstance(value, Tensor) else value.crop(box))
        return boxes

    def clip_to_image(self, remove_empty: bool = True) -> BoxList:
        """Clip the boxes to the image; optionally drop those with ``x2 <= x1`` or ``y2 <= y1``."""
        corners = clip_boxes(self.xyxy(), self.size, self.pixel_offset)
        boxes = self._with_boxes(corners, self.size)
        boxes.extra_fields = dict(self.extra_fields)
        if not remove_empty:
            return boxes
        return boxes[(corners[:, 2:] > corners[:, :2]).all(dim=1)]

    def area(self) -> Tensor:
        """Return the areas ``[N]`` in square pixels."""
        if self.mode == "xywh":
            return self.bbox[:, 2] * self.bbox[:, 3]
        return box_area(self.bbox, self.pixel_offset)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> BoxList:
        """Move boxes and tensor fields to ``device``; masks stay on the CPU."""
        boxes = self._like(self.bbox.to(device, non_blocking=non_blocking), self.size)
        for name, value in self.extra_fields.items():
            can_move = hasattr(value, "to")
            value = value.to(device, non_blocking=non_blocking) if can_move else value
            boxes.add_field(name, value)
        return boxes

    def pin_memory(self) -> BoxList:
        """Copy boxes and tensor fields to pinned memory, for non-blocking transfers with ``to``."""
        boxes = self._like(self.bbox.pin_memory(), self.size)
        for name, value in self.extra_fields.items():
            boxes.add_field(name, value.pin_memory() if isinstance(value, Tensor) else value)
        return boxes

    def copy_with_fields(self, fields: str | Iterable[str], skip_missing: bool = False) -> BoxList:
        """Return the same boxes with only the named fields.

        Raises:
            KeyError: a field is missing and ``skip_missing`` is False.
        """
        boxes = self._like(self.bbox, self.size)
        for name in [fields] if isinstance(fields, str) else fields:
            if self.has_field(name) or not skip_missing:
                boxes.add_field(name, self.get_field(name))
        return boxes

    def __getitem__(self, index: Index) -> BoxList:
        if isinstance(index, int):
            index = [index]
        boxes = self._like(self.bbox[index], self.size)
        for name, value in self.extra_fields.items():
            boxes.add_field(name, value[index])
        return boxes

    def __len__(self) -> int:
        return self.bbox.shape[0]

    def __repr__(self) -> str:
        width, height = self.size
        return (
            f"BoxList(num_boxes={len(self)}, image_width={width}, image_height={height}, "
            f"mode={self.mode}, fields={self.fields()})"
        )
