"""Figures and pictures as ``data:`` addresses, so that a page needs no other file."""

import base64
import io

import matplotlib
from matplotlib.figure import Figure
from PIL import Image

from maskrcnn_benchmark.visualization.draw import Picture

_JPEG_QUALITY = 86


def figure_address(figure: Figure) -> str:
    """Return a figure of matplotlib as SVG, which stays sharp in print; text becomes outlines."""
    file = io.BytesIO()
    # without a date and random ids, so that the same numbers give the same bytes
    with matplotlib.rc_context({"svg.hashsalt": "report"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return _address("image/svg+xml", file.getvalue())


def picture_address(picture: Picture) -> str:
    """Return a picture, uint8 RGB ``[H, W, 3]``, as JPEG."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=_JPEG_QUALITY)
    return _address("image/jpeg", file.getvalue())


def _address(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
