"""Encode, decode and validate COCO's run-length encodings; pycocotools does not validate them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

Runs = NDArray[np.int64]
Rle = dict[str, Any]  # ``size`` (height, width) and ``counts``, as in COCO's JSON

_AT_ONCE = 255  # pycocotools stores the number of masks in a uint8; NumPy 2 does not wrap it
_FIRST, _LAST = 48, 48 + 63  # characters of a compressed count: 6 bits each
_VALUE, _SIGN, _MORE = 0x1F, 0x10, 0x20
_MOST_DIGITS = 7  # groups of 5 bits in a count, which has at most 32 bits
_SHOWN = 40


def encode_rle(mask: NDArray[Any]) -> Rle:
    """Encode a mask of 0 and 1, or bool, ``[H, W]`` as compressed RLE; ``counts`` is a str."""
    return _with_text(coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8)))


def _with_text(rle: Rle) -> Rle:
    """Return an RLE of pycocotools with ``counts`` as str, ready for JSON."""
    return {"size": rle["size"], "counts": rle["counts"].decode("ascii")}


def decode_rle(rle: Mapping[str, Any]) -> NDArray[np.uint8]:
    """Decode a well-formed RLE, compressed or plain, to 0 and 1 ``[H, W]``."""
    return coco_mask.decode(to_rle(dict(rle), *rle["size"]))


def rle_areas(rles: Sequence[Rle]) -> NDArray[np.int64]:
    """Return the pixel count ``[N]`` of each compressed RLE, for any N."""
    areas = np.zeros(len(rles), dtype=np.int64)
    for start in range(0, len(rles), _AT_ONCE):
        areas[start : start + _AT_ONCE] = coco_mask.area(list(rles[start : start + _AT_ONCE]))
    return areas


def to_rle(segmentation: Any, height: int, width: int) -> Rle:
    """Convert a well-formed COCO segmentation (polygons or RLE) to one compressed RLE."""
    if not isinstance(segmentation, dict):
        return _with_text(coco_mask.merge(polygon_rles(segmentation, height, width)))
    if isinstance(segmentation["counts"], list):
        return _with_text(coco_mask.frPyObjects(segmentation, height, width))
    return segmentation


def polygon_rles(polygons: Sequence[Sequence[float]], height: int, width: int) -> list[Rle]:
    """Return a compressed RLE of each polygon, ``x0, y0, x1, y1, ...``, by COCO's rule."""
    return coco_mask.frPyObjects(list(polygons), height, width)


def rle_box(rle: Rle) -> list[float]:
    """Return the bounding box of a compressed RLE: ``x, y, width, height`` in pixels."""
    return coco_mask.toBbox(rle).tolist()


def read_runs(rle: Mapping[str, Any], height: int, width: int) -> Runs:
    """Return the run lengths of an RLE from JSON: alternately of zeros and ones.

    Args:
        rle: ``size`` and ``counts``, a list of run lengths or a compressed string.
        height: height of the image in pixels.
        width: width of the image in pixels.

    Raises:
        ValueError: it is not a valid RLE of this size; the message gives the reason in one line.
    """
    counts, size = rle.get("counts"), rle.get("size")
    if size != [height, width] or not all(type(side) is int for side in size):
        raise ValueError(
            f"RLE size must be [{height}, {width}] as its image (height, width), got {size!r:.40}"
        )
    if isinstance(counts, str):
        runs = _decompress(counts)
    elif isinstance(counts, list):
        if not {*map(type, counts)} <= {int}:
            raise ValueError(f"RLE counts {counts!r:.{_SHOWN}} are not non-negative integers")
        if counts and not 0 <= min(counts) <= max(counts) <= height * width:
            raise ValueError(
                f"RLE counts range from {min(counts)!r:.20} to {max(counts)!r:.20}, but must lie "
                f"between 0 and the {height * width} pixels of the image"
            )
        runs = np.array(counts, dtype=np.int64)
    else:
        raise ValueError(f"RLE counts {counts!r:.{_SHOWN}} are neither a list nor a string")
    if len(runs) and runs.min() < 0:
        raise ValueError("RLE counts are invalid: a run is negative")
    if runs.sum() != height * width:
        raise ValueError(
            f"RLE counts add up to {runs.sum()}, not to the {height * width} pixels of the image"
        )
    return runs


def _decompress(counts: str) -> Runs:
    """Return the run lengths in a compressed string.

    Numbers are signed and little-endian, in groups of 5 bits; from the fourth on, each is stored
    as the difference from the number two before it (the format of COCO's mask API).

    Raises:
        ValueError: there is an invalid character, or a number is truncated or too large.
    """
    if counts[:2] in ("b'", 'b"'):
        raise ValueError(
            f"RLE counts {counts!r:.{_SHOWN}} are the repr of bytes: write counts.decode() "
            "to the JSON, not str(counts)"
        )
    text = np.frombuffer(counts.encode("utf-8", "replace"), dtype=np.uint8)
    if len(text) == 0:
        return np.zeros(0, dtype=np.int64)
    if not (text.min() >= _FIRST and text.max() <= _LAST):
        odd = next(c for c in counts if not _FIRST <= ord(c) <= _LAST)
        raise ValueError(f"RLE counts cannot be read: character {odd!r}")
    bits = text.astype(np.int64) - _FIRST
    ends = np.flatnonzero(bits & _MORE == 0)
    if len(ends) == 0 or ends[-1] != len(bits) - 1:
        raise ValueError("RLE counts cannot be read: the last number is truncated")
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > _MOST_DIGITS:
        raise ValueError("RLE counts cannot be read: a number has more than 32 bits")
    place = np.arange(len(bits)) - np.repeat(starts, lengths)
    values = np.add.reduceat((bits & _VALUE) << 5 * place, starts)
    values -= np.where(bits[ends] & _SIGN, np.int64(1) << 5 * lengths, 0)
    values[1::2] = values[1::2].cumsum()
    values[2::2] = values[2::2].cumsum()
    return values


def plain_runs(runs: Runs) -> Runs:
    """Remove runs of length 0, except for the first run of zeros.

    With them, pycocotools computes wrong overlaps.
    """
    if not (runs[1:] == 0).any():
        return runs
    # an empty run joins its neighbors, which are of the same kind
    of_ones = np.arange(len(runs)) % 2
    some = runs > 0
    lengths, kinds = runs[some], of_ones[some]
    starts = np.flatnonzero(np.diff(kinds, prepend=-1))
    joined = np.add.reduceat(lengths, starts)
    return np.concatenate([[0], joined]) if kinds[0] else joined
