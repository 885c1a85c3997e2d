"""Pickles in the format of Python 2, assembled opcode by opcode."""

import struct
from collections.abc import Mapping

import numpy as np


def _text(content: bytes) -> bytes:
    return b"T" + struct.pack("<i", len(content)) + content


def _array(array: np.ndarray) -> bytes:
    shape = b"(" + b"".join(b"J" + struct.pack("<i", n) for n in array.shape) + b"t"
    code = array.dtype.str[1:].encode()
    order = array.dtype.str[:1].encode()
    dtype = b"cnumpy\ndtype\n(" + _text(code) + b"K\x00K\x01tR"
    dtype += b"(K\x03" + _text(order) + b"NNN" + 2 * (b"J" + struct.pack("<i", -1)) + b"K\x00tb"
    empty = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + _text(b"b") + b"\x87R"
    )
    return empty + b"(K\x01" + shape + dtype + b"\x89" + _text(array.tobytes()) + b"tb"


def python2_pickle(content: Mapping[str, object]) -> bytes:
    """Return the pickle (protocol 2) of a dict of C-ordered arrays, strings and such dicts."""
    return b"\x80\x02" + _value(content) + b"."


def _value(value: object) -> bytes:
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, str):
        return _text(value.encode())
    assert isinstance(value, Mapping)
    items = b"".join(_text(key.encode()) + _value(item) + b"s" for key, item in value.items())
    return b"}" + items
