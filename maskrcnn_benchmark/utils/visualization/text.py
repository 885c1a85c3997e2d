"""Text on pictures, in the DejaVu font that comes with matplotlib."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_PADDING = (5, 2)  # left and right, above and below


@lru_cache(maxsize=32)
def font(size: int) -> ImageFont.FreeTypeFont:
    """The font at a size in pixels."""
    path = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
    return ImageFont.truetype(str(path), size)  # Pillow 10.0 takes no Path


def label_size(text: str, size: int) -> tuple[int, int]:
    """(width, height) in pixels of a label with a text, its margin included."""
    face = font(size)
    ascent, descent = face.getmetrics()
    return round(face.getlength(text)) + 2 * _PADDING[0], ascent + descent + 2 * _PADDING[1]


def draw_label(
    picture: Image.Image,
    corner: tuple[int, int],
    text: str,
    *,
    size: int,
    color: tuple[int, int, int],
    ink: tuple[int, int, int],
) -> None:
    """Draw a text on a rounded plate, in place; `corner` is the plate's top left pixel (x, y)."""
    width, height = label_size(text, size)
    draw = ImageDraw.Draw(picture)
    x, y = corner
    plate = (x, y, x + width - 1, y + height - 1)
    edge = tuple(round(0.45 * c) for c in color)
    draw.rounded_rectangle(plate, radius=max(2, size // 4), fill=color, outline=edge)
    draw.text((x + _PADDING[0], y + _PADDING[1]), text, fill=ink, font=font(size))


def title_bar(text: str, width: int, size: int) -> NDArray[np.uint8]:
    """A white strip [H, width, 3] with a centred dark text, cut at the border when too long."""
    height = label_size(text, size)[1] + 4
    strip = Image.new("RGB", (width, height), (255, 255, 255))
    left = max((width - label_size(text, size)[0]) // 2, 0)
    ImageDraw.Draw(strip).text((left, _PADDING[1] + 2), text, fill=(25, 25, 25), font=font(size))
    return np.asarray(strip)
