"""Reads COCO's run lengths with care: pycocotools trusts them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_FIRST, _LAST = 48, 48 + 63  # characters of a compressed count: 6 bits each
_MORE, _SIGN = 0x20, 0x10


def rle_problem(rle: Mapping[str, Any], height: int, width: int) -> str:
    """Return what is wrong with the counts of RLE, plain or compressed, or ""."""
    counts = rle["counts"]
    if isinstance(counts, list):
        if not all(isinstance(c, int) and c >= 0 for c in counts):
            return "RLE counts are not whole numbers from 0 on"
        runs = counts
    else:
        try:
            runs = list(_decompress(counts))
        except (ValueError, TypeError) as error:
            return f"RLE counts cannot be read: {error}"
        if runs and min(runs) < 0:
            return "RLE counts are broken: a run is negative"
    if sum(runs) != height * width:
        return f"RLE counts add up to {sum(runs)}, not to the {height * width} pixels of the image"
    return ""


def _decompress(counts: str | bytes) -> Iterator[int]:
    """Yield the runs of a compressed string.

    Numbers are little-endian in groups of 5 bits and signed; from the fourth on they are the
    difference to the number before the last (the format of COCO's mask API).

    Raises:
        ValueError: a character is none of the format's, or the last number is cut off.
    """
    text = counts.encode() if isinstance(counts, str) else counts
    runs: list[int] = []
    value = shift = 0
    for byte in text:
        if not _FIRST <= byte <= _LAST:
            raise ValueError(f"character {chr(byte)!r}")
        bits = byte - _FIRST
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & _MORE:
            continue
        if bits & _SIGN:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        yield runs[-1]
        value = shift = 0
    if shift:
        raise ValueError("the last number is cut off")
