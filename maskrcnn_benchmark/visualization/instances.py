"""Instances to draw on an image: plain arrays, one row per instance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from maskrcnn_benchmark.structures.fields import SCORE_KINDS
from maskrcnn_benchmark.structures.rle import decode_rle, to_rle

Masks = NDArray[np.bool_] | Sequence[NDArray[np.bool_] | Mapping[str, Any]]


class Drawable(Protocol):
    """N instances of one image that can be drawn: ``Instances`` or a ``Prediction``.

    Unknown attributes are None.
    """

    @property
    def labels(self) -> NDArray[Any] | None:
        """[N] class indices, for colors by class."""
        ...

    @property
    def names(self) -> Sequence[str] | None:
        """N class names."""
        ...

    @property
    def scores(self) -> NDArray[Any] | None:
        """[N] class scores."""
        ...

    @property
    def mask_ious(self) -> NDArray[Any] | None:
        """[N] predicted mask IoUs."""
        ...

    @property
    def is_crowd(self) -> NDArray[Any] | None:
        """[N] whether it is a region of many objects."""
        ...

    @property
    def keypoints(self) -> NDArray[Any] | None:
        """[N, K, 3] keypoints ``x, y, v``."""
        ...

    @property
    def skeleton(self) -> Sequence[Sequence[int]]:
        """Pairs of keypoints, the limbs."""
        ...

    def __len__(self) -> int: ...

    def mask(self, index: int, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Return the mask of an instance, bool [H, W]; without masks, its filled box."""
        ...

    def box(self, index: int, size: tuple[int, int]) -> NDArray[np.float64]:
        """Return the edges of a box, [4]: left, top, right, bottom in continuous pixels."""
        ...


def to_bool_mask(mask: Any, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return one mask [H, W], given as an array or as COCO RLE.

    Raises:
        ValueError: it is not of this size, (height, width).
    """
    decoded = np.asarray(decode_rle(mask) if isinstance(mask, Mapping) else mask).astype(bool)
    if decoded.shape != size:
        raise ValueError(f"a mask has shape {decoded.shape}, its image (height, width) = {size}")
    return decoded


def filled_box(edges: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return bool [H, W] of a box [4] (left, top, right, bottom), rounded to whole pixels."""
    left, top = edges[:2].round().astype(int)
    right, bottom = (edges[2:] - 1).round().astype(int) + 1
    filled = np.zeros(size, bool)
    filled[max(top, 0) : bottom, max(left, 0) : right] = True
    return filled


def label_text(instances: Drawable, index: int) -> str:
    """Return the label of an instance: "person cls 0.98 · mask 0.71", or the known parts of it."""
    name = "" if instances.names is None else instances.names[index]
    if instances.is_crowd is not None and instances.is_crowd[index]:
        name = f"{name} (crowd)"
    numbers = [
        f"{kind.word} {float(values[index]):.2f}"
        for kind in SCORE_KINDS.values()
        if kind.word and (values := getattr(instances, kind.field)) is not None
    ]
    return f"{name} {' · '.join(numbers)}".strip()


_PER_INSTANCE = (
    *("masks", "boxes", "labels", "names", "scores", "mask_ious", "is_crowd", "keypoints"),
)


@dataclass(frozen=True)
class Instances:
    """N instances of one image, in pixels of the image. Unknown attributes are None.

    Attributes:
        masks: bool [N, H, W], or a sequence of bool [H, W] arrays and COCO RLE.
        boxes: [N, 4] inclusive xyxy; taken from the masks if None.
        labels: [N] class indices, for colors by class.
        names: N class names.
        scores: [N] class scores.
        mask_ious: [N] predicted mask IoUs.
        is_crowd: [N]; crowd regions are drawn lighter, and labeled as such.
        keypoints: [N, K, 3]: ``x, y, v``; those with v = 0 are not drawn.
        skeleton: pairs of keypoints that limbs are drawn between.
    """

    masks: Masks | None = None
    boxes: NDArray[Any] | None = None
    labels: NDArray[Any] | None = None
    names: Sequence[str] | None = None
    scores: NDArray[Any] | None = None
    mask_ious: NDArray[Any] | None = None
    is_crowd: NDArray[Any] | None = None
    keypoints: NDArray[Any] | None = None
    skeleton: Sequence[Sequence[int]] = ()
    _size: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        lengths = {
            name: len(getattr(self, name))
            for name in _PER_INSTANCE
            if getattr(self, name) is not None
        }
        if len(set(lengths.values())) > 1:
            raise ValueError(f"instances of one image need arrays of equal length, got {lengths}")
        if lengths and self.masks is None and self.boxes is None:
            raise ValueError("instances need masks or boxes to be drawn")
        object.__setattr__(self, "_size", next(iter(lengths.values()), 0))

    def __len__(self) -> int:
        return self._size

    def mask(self, index: int, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Return the mask of an instance, bool [H, W]; without masks, its filled box."""
        if self.masks is not None:
            return to_bool_mask(self.masks[index], size)
        return filled_box(self.box(index, size), size)

    def box(self, index: int, size: tuple[int, int]) -> NDArray[np.float64]:
        """Return the edges of a box, [4] left, top, right, bottom; without boxes, of the mask."""
        if self.boxes is not None:
            return np.asarray(self.boxes[index], np.float64) + (0, 0, 1, 1)
        x, y, w, h = cv2.boundingRect(self.mask(index, size).view(np.uint8))
        return np.array([x, y, x + w, y + h], np.float64)


def labels_of(category_ids: Sequence[int], names: Mapping[int, str]) -> NDArray[np.int64]:
    """Return the labels [N] that a model of these categories would predict, for matching colors."""
    label_of = {category_id: label for label, category_id in enumerate(names, 1)}
    return np.array([label_of[category_id] for category_id in category_ids], np.int64)


def from_coco_annotations(
    annotations: Sequence[Mapping[str, Any]], names: Mapping[int, str], size: tuple[int, int]
) -> Instances:
    """Return the ground truth of one image.

    Args:
        annotations: entries of a COCO file; polygons, compressed or uncompressed RLE.
        names: class name of each category id, in the order of the file.
        size: (height, width) of the image.
    """
    xywh = np.array([a["bbox"] for a in annotations], np.float64).reshape(-1, 4)
    return Instances(
        masks=[to_rle(a["segmentation"], *size) for a in annotations],
        boxes=np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:] - 1], axis=1),
        labels=labels_of([a["category_id"] for a in annotations], names),
        names=[names[a["category_id"]] for a in annotations],
        is_crowd=np.array([a.get("iscrowd", 0) for a in annotations], bool),
    )
