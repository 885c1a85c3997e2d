"""Draws instances on pictures: smooth contours, clear fills, labels that never cover each other.

Everything is drawn at output resolution, to which small pictures are enlarged first, so that thin
contours and text stay sharp. Coordinates named `fine` are in output pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from .colors import colors_for, ink_on
from .instances import Instances
from .label_placement import place_labels
from .text import draw_label, label_size

_SHIFT = 4  # sub-pixel bits of cv2.polylines
_LABEL_SHARE = 0.25  # of the picture may lie under labels; what is more is left out

Picture = NDArray[np.uint8]  # [H, W, 3] RGB


@dataclass
class _Outline:
    """An instance at output resolution: coverage in a window, contours, and where it sits."""

    window: tuple[slice, slice]
    coverage: NDArray[np.float32]  # [h, w] in 0-1
    contours: list[NDArray[np.int32]]  # fixed point, whole picture
    box: NDArray[np.float64]  # [4] xyxy, fine
    anchor: tuple[int, int]  # (x, y) deep inside the mask, fine
    area: float  # in fine pixels


def _checked(image: Picture) -> Picture:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"need an RGB uint8 image [H, W, 3], got {image.dtype} {image.shape}")
    return image


def _enlarge(image: Picture, long_side: int) -> tuple[Picture, float]:
    """The picture with a long side of at least `long_side` pixels, and the factor."""
    height, width = image.shape[:2]
    factor = max(1.0, long_side / max(height, width))
    if factor == 1.0:
        return image.copy(), factor
    size = (round(width * factor), round(height * factor))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)), factor


def _outline(mask: NDArray[np.bool_], factor: float, shape: tuple[int, int]) -> _Outline | None:
    """Smooth outline of a mask on an output of `shape` (height, width); None when it is empty."""
    x, y, w, h = cv2.boundingRect(mask.view(np.uint8))
    if w == 0:
        return None
    padded = np.pad(mask[y : y + h, x : x + w], 2).astype(np.float32)
    size = (round((w + 4) * factor), round((h + 4) * factor))
    smooth = cv2.resize(padded, size, interpolation=cv2.INTER_LINEAR)
    smooth = cv2.GaussianBlur(smooth, (0, 0), max(0.4 * factor, 0.3))
    inside = (smooth > 0.5).astype(np.uint8)
    contours, _ = cv2.findContours(inside, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    left, top = round((x - 2) * factor), round((y - 2) * factor)
    fixed = [((c + (left, top)) * 2**_SHIFT).astype(np.int32) for c in contours]
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 3)
    deep_y, deep_x = np.unravel_index(int(np.argmax(depth)), depth.shape)
    rows = slice(max(top, 0), min(top + size[1], shape[0]))
    columns = slice(max(left, 0), min(left + size[0], shape[1]))
    cut = smooth[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    box = np.array([x, y, x + w, y + h]) * factor
    # the edge of the fill is softened over about two output pixels
    coverage = np.clip((cut - 0.5) * max(factor, 1.0) * 1.5 + 0.5, 0, 1).astype(np.float32)
    anchor = (int(deep_x) + left, int(deep_y) + top)
    return _Outline((rows, columns), coverage, fixed, box, anchor, float(inside.sum()))


def _fill(canvas: Picture, outline: _Outline, color: NDArray[np.uint8], opacity: float) -> None:
    view = canvas[outline.window]
    weight = outline.coverage[..., None] * opacity
    view[:] = np.rint(view * (1 - weight) + color.astype(np.float32) * weight).astype(np.uint8)


def _stroke(canvas: Picture, outline: _Outline, color: NDArray[np.uint8], width: int) -> None:
    """A contour in the instance's colour on a dark, thinly showing one."""
    dark = tuple(int(0.25 * c) for c in color)
    for rgb, thickness in ((dark, width + 2), (tuple(int(c) for c in color), width)):
        cv2.polylines(canvas, outline.contours, True, rgb, thickness, cv2.LINE_AA, _SHIFT)


def _importance(outlines: Sequence[_Outline], shape: tuple[int, int]) -> NDArray[np.float64]:
    """[H, W] how much a label would hide: small instances count most, their edges too."""
    total = np.zeros(shape, np.float64)
    for outline in outlines:
        total[outline.window] += outline.coverage * min(1.0, 0.25 + 60 / np.sqrt(outline.area + 1))
    return np.minimum(total, 2.0)


def _font_size(texts: Sequence[str], shape: tuple[int, int]) -> int:
    """The largest size at which all labels together leave most of the picture free."""
    largest = int(np.clip(max(shape) / 68, 13, 28))
    for size in range(largest, 11, -1):
        area = sum(w * h for w, h in (label_size(t, size) for t in texts))
        if area <= 0.2 * shape[0] * shape[1]:
            return size
    return 11


def _leader(
    draw: ImageDraw.ImageDraw, rectangle: NDArray[Any], outline: _Outline, ink: Any
) -> None:
    """A line from a label [4] xyxy to its instance, when they do not touch."""
    box = outline.box
    gap = np.maximum(np.maximum(box[:2] - rectangle[2:], rectangle[:2] - box[2:]), 0).max()
    if gap <= 6:
        return
    x, y = outline.anchor
    start = (
        float(np.clip(x, rectangle[0], rectangle[2])),
        float(np.clip(y, rectangle[1], rectangle[3])),
    )
    draw.line([start, (x, y)], fill=(20, 20, 20), width=4)
    draw.line([start, (x, y)], fill=ink, width=2)
    draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill=ink, outline=(20, 20, 20))


@dataclass(frozen=True)
class Label:
    """A placed label: its text, and its rectangle (x, y, width, height) in output pixels."""

    text: str
    rectangle: tuple[int, int, int, int]


def layout_labels(
    texts: Sequence[str], boxes: NDArray[np.float64], importance: NDArray[np.float64]
) -> tuple[list[Label | None], int]:
    """Choose font size and places of labels; earlier ones matter more.

    Args:
        texts: N texts; an empty one gets no label.
        boxes: [N, 4] xyxy boxes of their objects in output pixels.
        importance: [H, W] cost of hiding each output pixel, about 0 to 1.

    Returns:
        N labels, None for a text without room, and the font size.
    """
    size = _font_size(texts, (importance.shape[0], importance.shape[1]))
    sizes = np.array([label_size(t, size) for t in texts], np.int64).reshape(-1, 2)
    has_text = np.array([bool(t) for t in texts], bool)
    room = _LABEL_SHARE * importance.size
    wanted = has_text & (np.cumsum(sizes.prod(axis=1) * has_text) <= room)
    chosen = np.flatnonzero(wanted)
    corners = place_labels(sizes[chosen], boxes[chosen], importance)
    labels: list[Label | None] = [None] * len(texts)
    for i, corner in zip(chosen.tolist(), corners.tolist(), strict=True):
        if corner[0] >= 0:
            labels[i] = Label(texts[i], (*corner, *sizes[i].tolist()))
    return labels, size


def _draw_labels(
    canvas: Picture, outlines: list[_Outline], texts: list[str], colors: Picture
) -> Picture:
    """The canvas with leader lines and labels; rows of the arguments belong together."""
    boxes = np.array([o.box for o in outlines]).reshape(-1, 4)
    labels, size = layout_labels(texts, boxes, _importance(outlines, canvas.shape[:2]))
    picture = Image.fromarray(canvas)
    draw = ImageDraw.Draw(picture)
    placed = [(k, label) for k, label in enumerate(labels) if label is not None]
    for k, label in placed:
        x, y, w, h = label.rectangle
        _leader(draw, np.array([x, y, x + w, y + h]), outlines[k], tuple(colors[k].tolist()))
    for k, label in placed:
        color = tuple(colors[k].tolist())
        draw_label(
            picture, label.rectangle[:2], label.text, size=size, color=color, ink=ink_on(colors[k])
        )
    return np.array(picture)


def draw_instances(
    image: Picture,
    instances: Instances,
    *,
    color_by: Literal["instance", "class"] = "instance",
    draw_boxes: bool = False,
    long_side: int = 1200,
    opacity: float = 0.42,
) -> Picture:
    """Draw instances with their labels on a picture.

    Instances without a visible mask are not drawn. When there are more labels than room, those of
    the highest class scores are kept.

    Args:
        image: uint8 RGB [H, W, 3]; not changed.
        instances: in the pixels of `image`.
        color_by: "instance" to tell neighbours apart, "class" to tell classes apart.
        draw_boxes: whether to draw the boxes too.
        long_side: smaller pictures are enlarged to this many pixels, so that text is legible.
        opacity: of the fills, 0 to 1.

    Returns:
        A new uint8 RGB picture.

    Raises:
        ValueError: for an image of another kind, or masks of another size than the image.
    """
    canvas, factor = _enlarge(_checked(image), long_side)
    masks = (instances.mask(i, image.shape[:2]) for i in range(len(instances)))
    found = [(i, _outline(mask, factor, canvas.shape[:2])) for i, mask in enumerate(masks)]
    rows = [(i, outline) for i, outline in found if outline is not None]
    keys = np.arange(len(instances))
    if color_by == "class" and instances.labels is not None:
        keys = np.asarray(instances.labels, np.int64)
    colors = colors_for(keys)
    width = max(2, round(max(canvas.shape) / 600))
    for i, outline in sorted(rows, key=lambda row: -row[1].area):  # small ones on top
        is_crowd = instances.is_crowd is not None and instances.is_crowd[i]
        _fill(canvas, outline, colors[i], 0.4 * opacity if is_crowd else opacity)
        _stroke(canvas, outline, colors[i], 1 if is_crowd else width)
        if draw_boxes:
            x1, y1, x2, y2 = (round(v) for v in outline.box.tolist())
            cv2.rectangle(canvas, (x1, y1), (x2, y2), tuple(int(c) for c in colors[i]), 1)
    if instances.scores is not None:
        rows.sort(key=lambda row: -float(np.asarray(instances.scores)[row[0]]))
    order = [i for i, _ in rows]
    texts = [instances.text(i) for i in order]
    return _draw_labels(canvas, [o for _, o in rows], texts, colors[order])
