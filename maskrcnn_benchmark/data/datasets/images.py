"""Reading of image files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def read_image(path: Path) -> Image.Image:
    """Read an image file of any kind as RGB, pixels as stored (EXIF orientation is left alone).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not an image, or is broken.
    """
    if not path.is_file():
        raise FileNotFoundError(f"image {path} does not exist")
    try:
        with Image.open(path) as image:
            return _to_rgb(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"image {path} cannot be read: {error}") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode to RGB; Pillow itself would clip 16 bit grey at 255."""
    if image.mode.startswith("I"):
        pixels = np.asarray(image).clip(0, 65535)
        image = Image.fromarray((pixels // 257).astype(np.uint8))
    return image.convert("RGB")
