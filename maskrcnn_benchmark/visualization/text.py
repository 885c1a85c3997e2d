"""Single-line text on images; ``fonts`` chooses the fonts."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from maskrcnn_benchmark.visualization.fonts import font_files, one_line, runs

_PADDING = (5, 2)  # left and right, above and below


@lru_cache(maxsize=64)
def _face(file: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(file, size)


def _metrics(size: int) -> tuple[int, int]:
    """Return (ascent, descent) of a line in pixels, the same for every text."""
    (file,) = font_files("")
    return _face(file, size).getmetrics()


def draw_line(
    draw: ImageDraw.ImageDraw, corner: tuple[float, float], text: str, *, size: int, **options: Any
) -> None:
    """Draw a text in place, each part in a font that has its characters.

    Args:
        draw: drawing context of the image.
        corner: (x, y) of the upper left corner.
        text: drawn literally, on one line.
        size: font size in pixels.
        options: keyword arguments of ``ImageDraw.text``.
    """
    x, y = corner
    baseline = y + _metrics(size)[0]
    for file, part in runs(one_line(text)):
        face = _face(file, size)
        draw.text((x, baseline), part, font=face, anchor="ls", **options)
        x += face.getlength(part)


def label_size(text: str, size: int) -> tuple[int, int]:
    """Return (width, height) in pixels of a label, including its margin."""
    length = sum(_face(file, size).getlength(part) for file, part in runs(one_line(text)))
    return round(length) + 2 * _PADDING[0], sum(_metrics(size)) + 2 * _PADDING[1]


def draw_label(
    picture: Image.Image,
    corner: tuple[int, int],
    text: str,
    *,
    size: int,
    color: tuple[int, int, int],
    ink: tuple[int, int, int],
) -> None:
    """Draw a text on a rounded plate in place; ``corner`` is the plate's top left pixel (x, y)."""
    width, height = label_size(text, size)
    draw = ImageDraw.Draw(picture)
    x, y = corner
    plate = (x, y, x + width - 1, y + height - 1)
    edge = tuple(round(0.45 * c) for c in color)
    draw.rounded_rectangle(plate, radius=max(2, size // 4), fill=color, outline=edge)
    draw_line(draw, (x + _PADDING[0], y + _PADDING[1]), text, size=size, fill=ink)


def title_bar(text: str, width: int, size: int) -> NDArray[np.uint8]:
    """Return a white strip [H, width, 3] with centered dark text, truncated if too long."""
    height = label_size(text, size)[1] + 4
    strip = Image.new("RGB", (width, height), (255, 255, 255))
    left = max((width - label_size(text, size)[0]) // 2, 0)
    draw_line(ImageDraw.Draw(strip), (left, _PADDING[1] + 2), text, size=size, fill=(25, 25, 25))
    return np.asarray(strip)
