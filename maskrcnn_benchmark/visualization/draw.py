"""Draw instances on images: smooth contours, translucent fills, skeletons, labels without overlap.

Small images are enlarged to the output resolution first, so that thin contours and text stay sharp.
In crowded images, the text first shrinks, down to 11 pixels; then the labels with the lowest class
scores are omitted, as are labels without a free position.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from maskrcnn_benchmark.visualization.colors import colors_for, ink_on
from maskrcnn_benchmark.visualization.instances import Drawable, label_text
from maskrcnn_benchmark.visualization.label_placement import place_labels
from maskrcnn_benchmark.visualization.outline import Outline, fill, stroke
from maskrcnn_benchmark.visualization.outline import outline as outline_of
from maskrcnn_benchmark.visualization.skeleton import draw_skeleton
from maskrcnn_benchmark.visualization.text import draw_label, label_size

# share of the image covered by labels at which text shrinks, and at which labels are omitted
_SHRINKING_SHARE, _LABEL_SHARE = 0.12, 0.2

Picture = NDArray[np.uint8]  # [H, W, 3] RGB


def _checked(image: Picture) -> Picture:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"need an RGB uint8 image [H, W, 3], got {image.dtype} {image.shape}")
    return image


def _enlarge(image: Picture, long_side: int) -> tuple[Picture, float]:
    """Return the image enlarged to a long side of at least ``long_side`` pixels, and the factor."""
    height, width = image.shape[:2]
    factor = max(1.0, long_side / max(height, width))
    if factor == 1.0:
        return image.copy(), factor
    size = (round(width * factor), round(height * factor))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)), factor


def _importance(outlines: Sequence[Outline], shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return the cost of hiding each pixel, [H, W]: highest for small instances and edges."""
    total = np.zeros(shape, np.float64)
    for outline in outlines:
        total[outline.window] += outline.coverage * min(1.0, 0.25 + 60 / np.sqrt(outline.area + 1))
    return np.minimum(total, 2.0)


def _font_size(texts: Sequence[str], shape: tuple[int, int]) -> int:
    """Return the largest font size at which all labels leave most of the image free."""
    smallest, largest = max(11, max(shape) // 110), max(13, max(shape) // 68)
    for size in range(largest, smallest, -1):
        area = sum(w * h for w, h in (label_size(t, size) for t in texts))
        if area <= _SHRINKING_SHARE * shape[0] * shape[1]:
            return size
    return smallest


def _leader(
    draw: ImageDraw.ImageDraw, rectangle: NDArray[Any], outline: Outline, ink: Any, width: int
) -> None:
    """Draw a line from a label [4] xyxy to its instance, unless the two touch."""
    points = np.concatenate(outline.contours)
    away = np.hypot(*np.maximum(np.maximum(points - rectangle[2:], rectangle[:2] - points), 0).T)
    nearest = int(np.argmin(away))
    if away[nearest] <= 3 * width:
        return
    x, y = points[nearest].tolist()
    start = tuple(np.clip(points[nearest], rectangle[:2], rectangle[2:] - 1).tolist())
    draw.line([start, (x, y)], fill=(20, 20, 20), width=width + 2)
    draw.line([start, (x, y)], fill=ink, width=width)
    radius = 2 * width
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink, outline=(20, 20, 20))


@dataclass(frozen=True)
class Label:
    """A placed label: its text and its rectangle (x, y, width, height) in output pixels."""

    text: str
    rectangle: tuple[int, int, int, int]


def layout_labels(
    texts: Sequence[str], boxes: NDArray[np.float64], importance: NDArray[np.float64]
) -> tuple[list[Label | None], int]:
    """Choose the font size and the positions of labels; earlier ones have priority.

    Args:
        texts: N texts; an empty one gets no label.
        boxes: [N, 4] xyxy boxes of their objects in output pixels.
        importance: [H, W] cost of hiding each output pixel, about 0 to 1.

    Returns:
        N labels (None for a text without room), and the font size.
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
    canvas: Picture, outlines: list[Outline], texts: list[str], colors: Picture
) -> Picture:
    """Return the canvas with leader lines and labels; the arguments are aligned by row."""
    boxes = np.array([o.box for o in outlines]).reshape(-1, 4)
    labels, size = layout_labels(texts, boxes, _importance(outlines, canvas.shape[:2]))
    picture = Image.fromarray(canvas)
    draw = ImageDraw.Draw(picture)
    placed = [(k, label) for k, label in enumerate(labels) if label is not None]
    for k, label in placed:
        x, y, w, h = label.rectangle
        ink = tuple(colors[k].tolist())
        _leader(draw, np.array([x, y, x + w, y + h]), outlines[k], ink, _line_width(canvas))
    for k, label in placed:
        color = tuple(colors[k].tolist())
        draw_label(
            picture, label.rectangle[:2], label.text, size=size, color=color, ink=ink_on(colors[k])
        )
    return np.array(picture)


def _line_width(canvas: Picture) -> int:
    return max(2, round(max(canvas.shape) / 600))


def draw_instances(
    image: Picture,
    instances: Drawable,
    *,
    color_by: Literal["instance", "class"] = "instance",
    draw_boxes: bool = False,
    long_side: int = 1200,
    opacity: float = 0.42,
) -> Picture:
    """Draw instances with their labels on an image.

    Instances without a visible mask are not drawn. Labels never overlap. In crowded images, their
    text shrinks down to 11 pixels; labels that would still cover more than a fifth of the image are
    omitted, lowest class scores first.

    Args:
        image: uint8 RGB [H, W, 3]; not changed.
        instances: a ``Prediction``, or ``Instances`` of plain arrays, in pixels of ``image``.
        color_by: "instance" to tell neighbors apart, by their order; "class" to tell classes
            apart, each in the same color in every image and every run.
        draw_boxes: whether to draw boxes too; those of the masks if ``instances`` has none.
        long_side: smaller images are enlarged to this many pixels, so that text is legible.
        opacity: opacity of the fills, 0 to 1.

    Returns:
        A new uint8 RGB image.

    Raises:
        ValueError: the image is not uint8 RGB, or a mask differs in size from the image.
    """
    canvas, factor = _enlarge(_checked(image), long_side)
    masks = (instances.mask(i, image.shape[:2]) for i in range(len(instances)))
    found = [(i, outline_of(mask, factor, canvas.shape[:2])) for i, mask in enumerate(masks)]
    rows = [(i, outline) for i, outline in found if outline is not None]
    keys = np.arange(len(instances))
    if color_by == "class" and instances.labels is not None:
        keys = np.asarray(instances.labels, np.int64)
    colors = colors_for(keys)
    width = _line_width(canvas)
    for i, outline in sorted(rows, key=lambda row: -row[1].area):  # small ones on top
        is_crowd = instances.is_crowd is not None and instances.is_crowd[i]
        fill(canvas, outline, colors[i], 0.4 * opacity if is_crowd else opacity)
        stroke(canvas, outline, colors[i], 1 if is_crowd else width)
        if draw_boxes:
            x1, y1, x2, y2 = (round(v) for v in (instances.box(i, image.shape[:2]) * factor))
            cv2.rectangle(canvas, (x1, y1), (x2, y2), tuple(int(c) for c in colors[i]), width // 2)
    if instances.keypoints is not None:  # on top of all fills
        for i, _ in rows:
            points = np.asarray(instances.keypoints[i], np.float64) * (factor, factor, 1)
            draw_skeleton(canvas, points, instances.skeleton, width)
    if instances.scores is not None:
        rows.sort(key=lambda row: -float(np.asarray(instances.scores)[row[0]]))
    order = [i for i, _ in rows]
    texts = [label_text(instances, i) for i in order]
    return _draw_labels(canvas, [o for _, o in rows], texts, colors[order])
