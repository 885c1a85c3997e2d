"""Reading of files from visitors of the web page: checked before anything is decoded."""

from pathlib import Path

from PIL import Image

from maskrcnn_benchmark.data.datasets.images import read_image
from maskrcnn_benchmark.utils.user_error import UserError

MAX_BYTES = 32 * 1024**2
MAX_PIXELS = 50_000_000  # 150 MB of RGB

# what browsers and cameras write; some of Pillow's other formats run external programs
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
_KINDS = "JPEG, PNG, WebP, BMP, GIF or TIFF"


def read_upload(path: Path, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Read an image as upright RGB, unless its header already shows that it is none or too large.

    Args:
        path: the file, under the name that its owner gave it.
        max_pixels: the most pixels to decode.

    Raises:
        UserError: the file is no image, is broken or too large. The message names it without its
            folder, which is of no concern to the visitor.
    """
    too_large = (
        f"the limit is {max_pixels / 1e6:g} million. Make it smaller, for example 2000 pixels wide."
    )
    try:
        with Image.open(path, formats=_FORMATS) as image:  # reads the header only
            width, height = image.size
    except Image.DecompressionBombError as error:
        raise UserError(f"{path.name} has too many pixels; {too_large}") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise UserError(f"{path.name} is not an image. Use {_KINDS}.") from error
    if width * height > max_pixels:
        raise UserError(f"{path.name} has {width} x {height} pixels; {too_large}")
    try:
        return read_image(path)
    except UserError as error:
        raise UserError(str(error).replace(str(path), path.name)) from error
