"""Read pickles of NumPy arrays without executing code from the file.

A pickle can import and call any object. This reader accepts only the few names that NumPy writes
and maps them to functions in this file; any other name is an error. ``torch_pickle.py`` does the
same for torch checkpoints.
"""

import math
import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

_KINDS = "biuf"  # bool, signed and unsigned integers, floats


class _Dtype:
    """The dtype of an array: its type code, then, through ``__setstate__``, its byte order."""

    def __init__(self, code: str, *_flags: Any) -> None:
        self.dtype = np.dtype(str(code))
        if self.dtype.kind not in _KINDS or self.dtype.itemsize > 8:
            raise pickle.UnpicklingError(f"an array of {code!r}, only plain numbers are supported")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


def _build(data: Any, dtype: _Dtype, shape: Any, order: str) -> np.ndarray[Any, Any]:
    """Return a new array in native byte order.

    Args:
        data: the bytes; Python 2 wrote them as a string.
        dtype: element type.
        shape: shape; its product must match the number of bytes.
        order: ``"C"`` or ``"F"``.
    """
    content = data.encode("latin1") if isinstance(data, str) else bytes(data)
    shape = tuple(int(size) for size in shape)
    if math.prod(shape) * dtype.dtype.itemsize != len(content):
        raise pickle.UnpicklingError(f"an array of shape {shape} with {len(content)} bytes")
    array = np.frombuffer(content, dtype.dtype).reshape(shape, order="F" if order == "F" else "C")
    return np.array(array, dtype.dtype.newbyteorder("="), order="C")


class _Array:
    """An array under construction: pickles create it empty and set its content afterwards."""

    def __init__(self, *_empty: Any) -> None:
        self.array: np.ndarray[Any, Any] | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _version, shape, dtype, is_fortran, data = state
        self.array = _build(data, dtype, shape, "F" if is_fortran else "C")


def _scalar(dtype: _Dtype, data: Any) -> np.ndarray[Any, Any]:
    """Return a NumPy scalar as a 0-d array."""
    return _build(data, dtype, (), "C")


def _from_buffer(
    data: Any, dtype: _Dtype, shape: tuple[int, ...], order: str
) -> np.ndarray[Any, Any]:
    """Return an array that was pickled with protocol 5."""
    return _build(data, dtype, shape, order)


def _encode(text: str, encoding: str) -> bytes:
    """Return bytes that Python 3 pickled with a protocol of Python 2."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes in the encoding {encoding!r}")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """Return ``b""``, which Python 3 pickles as ``bytes()`` with a protocol of Python 2."""
    return b""


class Known:
    """A callable that a pickle can call but not modify; pickles can also set attributes."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        """Call the function."""
        return self._function(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("it sets attributes of a function")


_NUMPY = ("numpy.core", "numpy._core")
_FUNCTIONS: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    **{(f"{core}.multiarray", "_reconstruct"): _Array for core in _NUMPY},
    **{(f"{core}.multiarray", "scalar"): _scalar for core in _NUMPY},
    **{(f"{core}.numeric", "_frombuffer"): _from_buffer for core in _NUMPY},
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): _no_bytes,
    ("collections", "OrderedDict"): OrderedDict,
}


KNOWN = {name: Known(function) for name, function in _FUNCTIONS.items()}


class _Unpickler(pickle.Unpickler):
    """Unpickler that resolves only the names that NumPy writes."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in KNOWN:
            raise pickle.UnpicklingError(
                f"it contains {module}.{name}, which is refused: only NumPy arrays of numbers in "
                "plain containers are supported"
            )
        return KNOWN[module, name]


def finished(value: Any) -> Any:
    """Return ``value`` with every ``_Array`` replaced by its array; tuples become lists.

    Raises:
        pickle.UnpicklingError: an array has no content.
    """
    if isinstance(value, _Array):
        if value.array is None:
            raise pickle.UnpicklingError("an array without content")
        return value.array
    if isinstance(value, Mapping):
        return {key: finished(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finished(item) for item in value]
    return value


def read_array_pickle(path: Path) -> Any:
    """Read a pickle of Python 2 or 3 with arrays, numbers, strings, dicts and lists.

    Tuples are returned as lists.

    Raises:
        ValueError: the file is damaged or has other content; the message has its path.
    """
    try:
        with path.open("rb") as file:
            return finished(_Unpickler(file, encoding="latin1").load())
    except Exception as error:  # a damaged pickle can raise almost anything
        raise ValueError(f"{path}: not a pickle of NumPy arrays ({error})") from error
