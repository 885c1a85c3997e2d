"""Reading of image files of any kind as upright RGB."""

import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from maskrcnn_benchmark.utils.logger import warn_once
from maskrcnn_benchmark.utils.user_error import MissingFileError, UserError

ImageSource = str | Path | Image.Image | NDArray[Any]

# an environment variable, so that worker processes inherit it
MAX_PIXELS_VARIABLE = "MASKRCNN_MAX_IMAGE_PIXELS"
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error)
_ONE_PICTURE = ("MPO", "PSD")  # a photo with its preview; layers after the merged image
_DARK = 4096  # 16-bit images with only smaller values come out nearly black


def read_image(path: Path, size: tuple[int, int] | None = None) -> Image.Image:
    """Read an image file of any kind as RGB, turned upright by its EXIF orientation.

    Of several frames or pages the first is read, with one warning. An image above Pillow's limit of
    179 million pixels needs the environment variable ``MASKRCNN_MAX_IMAGE_PIXELS``, set to at least
    its number of pixels.

    Args:
        path: the file.
        size: annotated ``(width, height)``. COCO annotations refer to the pixels as stored, so the
            orientation is then applied only if the image has this size after it and not before.

    Raises:
        MissingFileError: there is no such file; it is a FileNotFoundError and a UserError.
        UserError: it is not an image, is broken or too large, or ``to_rgb`` refuses it; it is a
            ValueError.
    """
    if not path.is_file():
        raise MissingFileError(f"image {path} does not exist")
    if path.stat().st_size == 0:
        raise UserError(f"image {path} cannot be read: the file is empty")
    if limit := os.environ.get(MAX_PIXELS_VARIABLE):
        Image.MAX_IMAGE_PIXELS = _pixels(limit)
    try:
        with Image.open(path) as image:
            if getattr(image, "is_animated", False) and image.format not in _ONE_PICTURE:
                warn_once(
                    "frames",
                    f"image {path} has several frames or pages: only the first is used, here and "
                    "in other such images",
                )
            return to_rgb(_oriented(image, size))
    except Image.DecompressionBombError as error:
        raise UserError(
            f"image {path} cannot be read: {error} If you trust the file, set the environment "
            f"variable {MAX_PIXELS_VARIABLE} to that number of pixels."
        ) from error
    except _BROKEN as error:
        raise UserError(f"image {path} cannot be read: {error}") from error


def _pixels(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise UserError(f"{MAX_PIXELS_VARIABLE} is {text!r}; it must be a number of pixels")
    return int(text)


def _oriented(image: Image.Image, size: tuple[int, int] | None) -> Image.Image:
    if image.size == size:
        return image
    upright = ImageOps.exif_transpose(image)
    return upright if size in (None, upright.size) else image


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode to RGB; transparency is ignored.

    Grayscale images of more than 8 bits: 16-bit integers are scaled to 8 bits; 32-bit integers are
    kept if they fit into 8 bits and treated as 16-bit otherwise; floats range from 0 (black) to 1
    (white). A 16-bit image that comes out nearly black causes one warning.

    Raises:
        ValueError: an integer is below 0 or above 65535, a float outside [0, 1], or the mode cannot
            be converted to RGB.
    """
    # for PNG files, older versions of Pillow report I instead of I;16
    if image.mode.startswith("I;") or (image.mode == "I" and image.format == "PNG"):
        image = _high_byte(np.asarray(image))
    elif image.mode == "I":
        image = _from_integers(np.asarray(image))
    elif image.mode == "F":
        image = _from_floats(np.asarray(image))
    elif image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # Pillow warns when this step is left out
    elif image.mode == "La":  # Pillow has no direct conversion
        image = image.convert("LA")
    return image.convert("RGB")


def _high_byte(pixels: NDArray[Any]) -> Image.Image:
    if 0 < pixels.max(initial=0) < _DARK:
        warn_once(
            "dark",
            f"a 16-bit image has no value above {pixels.max()} of 65535 and comes out nearly "
            "black, as others may: save such images with 8 bits, or stretched to all 16",
        )
    return Image.fromarray((pixels // 257).astype(np.uint8))


def _from_integers(pixels: NDArray[Any]) -> Image.Image:
    low, high = pixels.min(initial=0), pixels.max(initial=0)
    if low < 0 or high > 65535:
        raise ValueError(
            f"its 32-bit integers go from {low} to {high}: save it with 8 or 16 bits, without sign"
        )
    return Image.fromarray(pixels.astype(np.uint8)) if high < 256 else _high_byte(pixels)


def _from_floats(pixels: NDArray[Any]) -> Image.Image:
    low, high = pixels.min(initial=0), pixels.max(initial=0)
    if not (low >= 0 and high <= 1):  # written so that NaN fails too
        raise ValueError(f"its floats go from {low:g} to {high:g}: scale them to 0 ... 1")
    return Image.fromarray(np.rint(pixels * 255).astype(np.uint8))


def as_rgb(source: ImageSource) -> Image.Image:
    """Convert a path, PIL image or array to an RGB image.

    Args:
        source: a path (read upright, see ``read_image``), a PIL image (pixels as they are) or an
            array: RGB or RGBA uint8 ``[H, W, 3 or 4]``, gray uint8 or uint16 ``[H, W]`` or
            ``[H, W, 1]``. Reverse the channels of OpenCV's BGR first: ``image[..., ::-1]``.

    Raises:
        MissingFileError, UserError: see ``read_image``.
        ValueError: see ``to_rgb``, or an array has another dtype or shape.
        TypeError: the source is of another type.
    """
    if isinstance(source, str | Path):
        return read_image(Path(source))
    if isinstance(source, Image.Image):
        return to_rgb(source)
    if not isinstance(source, np.ndarray):
        raise TypeError(f"expected a path, a PIL image or an array, got {type(source).__name__}")
    pixels = source[..., 0] if source.ndim == 3 and source.shape[2] == 1 else source
    is_gray = pixels.ndim == 2 and pixels.dtype in (np.uint8, np.uint16)
    is_color = pixels.ndim == 3 and pixels.shape[2] in (3, 4) and pixels.dtype == np.uint8
    if not (is_gray or is_color) or pixels.size == 0:
        raise ValueError(
            "an image array must be uint8 [H, W, 3] in RGB order, or gray uint8 or uint16 [H, W]; "
            f"got {source.dtype} {list(source.shape)}"
        )
    return to_rgb(Image.fromarray(np.ascontiguousarray(pixels)))
