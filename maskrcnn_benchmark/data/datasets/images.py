"""Images of any kind as upright RGB."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

ImageSource = str | Path | Image.Image | NDArray[Any]

_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)


def read_image(path: Path, size: tuple[int, int] | None = None) -> Image.Image:
    """Read an image file of any kind as RGB, turned upright by its EXIF orientation.

    Args:
        path: the file.
        size: ``(width, height)`` that annotations of the image state. Annotations of COCO are of
            the pixels as stored, so the orientation is then followed only where that alone gives
            this size.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not an image, or is broken.
    """
    if not path.is_file():
        raise FileNotFoundError(f"image {path} does not exist")
    if path.stat().st_size == 0:
        raise ValueError(f"image {path} cannot be read: the file is empty")
    try:
        with Image.open(path) as image:
            return to_rgb(_oriented(image, size))
    except _BROKEN as error:
        raise ValueError(f"image {path} cannot be read: {error}") from error


def _oriented(image: Image.Image, size: tuple[int, int] | None) -> Image.Image:
    if image.size == size:
        return image
    upright = ImageOps.exif_transpose(image)
    return upright if size in (None, upright.size) else image


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode to RGB: 16 bit grey by its high byte, transparency is ignored."""
    if image.mode.startswith("I"):  # Pillow itself would clip it at 255
        pixels = np.asarray(image).clip(0, 65535)
        image = Image.fromarray((pixels // 257).astype(np.uint8))
    elif image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # Pillow warns when this step is left out
    return image.convert("RGB")


def as_rgb(source: ImageSource) -> Image.Image:
    """Return an RGB image of what a caller has.

    Args:
        source: a path (read upright, see ``read_image``), a PIL image (pixels as they are) or an
            array: RGB or RGBA uint8 ``[H, W, 3 or 4]``, grey uint8 or uint16 ``[H, W]`` or
            ``[H, W, 1]``. OpenCV's BGR must be turned first: ``image[..., ::-1]``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a file is broken, or an array has another type or shape.
        TypeError: it is none of these.
    """
    if isinstance(source, str | Path):
        return read_image(Path(source))
    if isinstance(source, Image.Image):
        return to_rgb(source)
    if not isinstance(source, np.ndarray):
        raise TypeError(f"expected a path, a PIL image or an array, got {type(source).__name__}")
    pixels = source[..., 0] if source.ndim == 3 and source.shape[2] == 1 else source
    is_grey = pixels.ndim == 2 and pixels.dtype in (np.uint8, np.uint16)
    is_color = pixels.ndim == 3 and pixels.shape[2] in (3, 4) and pixels.dtype == np.uint8
    if not (is_grey or is_color) or pixels.size == 0:
        raise ValueError(
            "an image array must be uint8 [H, W, 3] in RGB order, or grey uint8 or uint16 [H, W]; "
            f"got {source.dtype} {list(source.shape)}"
        )
    return to_rgb(Image.fromarray(np.ascontiguousarray(pixels)))
