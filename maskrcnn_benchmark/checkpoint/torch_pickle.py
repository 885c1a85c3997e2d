"""Read the tensors in checkpoints of other projects without executing code from the file.

``torch.load(weights_only=True)`` rejects files that contain other objects than tensors and plain
values, such as the log in checkpoints of mmengine. Here torch reads the tensors, and the unpickler
below replaces every other name with an inert placeholder, which is then removed from the content.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from maskrcnn_benchmark.checkpoint.array_pickle import KNOWN, Known, finished

_TERMINAL_CODE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_TENSORS = ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter")
_DTYPES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8")
_NAMES: dict[tuple[str, str], Any] = {
    **KNOWN,
    **{("torch._utils", name): Known(getattr(torch._utils, name)) for name in _TENSORS},
    **{("torch", name): getattr(torch, name) for name in (*_DTYPES, "bool")},
    ("torch", "Size"): Known(tuple),
    ("builtins", "set"): Known(list),
    ("__builtin__", "set"): Known(list),
}


class _Placeholder:
    """Placeholder for an object of an unknown class, which ignores all state and arguments."""

    named = ""

    def __new__(cls, *_arguments: Any, **_options: Any) -> _Placeholder:
        return object.__new__(cls)

    def __init__(self, *_arguments: Any, **_options: Any) -> None: ...

    def _ignore(self, *_arguments: Any, **_options: Any) -> None: ...

    # everything an unpickler does to an object: set its state, add items as to a dict, list or set
    __setstate__ = __setitem__ = append = extend = add = _ignore

    def __call__(self, *_arguments: Any, **_options: Any) -> _Placeholder:
        return self


class _Unpickler(pickle.Unpickler):
    """Unpickler of arrays, tensors and plain values; any other name becomes a placeholder."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _NAMES:
            return _NAMES[module, name]
        return type("Placeholder", (_Placeholder,), {"named": f"{module}.{name}"})


def _load(file: Any, **options: Any) -> Any:
    return _Unpickler(file, **options).load()


# interface of the pickle module that torch.load expects
_MODULE = SimpleNamespace(__name__=__name__, Unpickler=_Unpickler, load=_load)


def one_line(error: Exception) -> str:
    """Return the first line of an error message without terminal escape codes."""
    lines = _TERMINAL_CODE.sub("", str(error)).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def read_foreign_checkpoint(path: Path) -> tuple[dict[str, Any], list[str]]:
    """Read a file written by ``torch.save``, leaving out objects of unknown classes.

    Args:
        path: path of the file; TorchScript is not supported.

    Returns:
        The content: tensors, NumPy arrays, numbers, strings, dicts and lists (also for tuples); and
        the names of the classes and functions that were left out.

    Raises:
        ValueError: the file is damaged, its content is not a dict, or nothing of it is left.
    """
    try:
        content = finished(torch.load(path, "cpu", pickle_module=_MODULE, weights_only=False))
    except Exception as error:  # a damaged or malicious pickle can raise almost anything
        raise ValueError(f"{path}: cannot be read safely ({one_line(error)})") from error
    names: set[str] = set()
    kept = _without_objects(content, names)
    left_out = sorted(names)
    if left_out and kept in (_GONE, {}):
        raise ValueError(
            f"{path}: contains only objects of unknown classes ({', '.join(left_out)}); "
            "save the model's state_dict() instead"
        )
    if not isinstance(kept, dict):
        raise ValueError(f"{path}: contains a {type(kept).__name__}, not a dict of tensors")
    return kept, left_out


_GONE = object()


def _without_objects(value: Any, names: set[str]) -> Any:
    """Return ``value`` without the dict entries that are placeholders or functions.

    Args:
        value: the unpickled value.
        names: set to which the names of removed objects are added.

    Returns:
        The value, or ``_GONE`` if it is a placeholder or a list that contains one.
    """
    if isinstance(value, _Placeholder | Known | type):
        names.add(getattr(value, "named", "a function"))
        return _GONE
    if isinstance(value, Mapping):
        entries = {key: _without_objects(item, names) for key, item in value.items()}
        good = {key for key in entries if _without_objects(key, names) is not _GONE}
        return {k: item for k, item in entries.items() if k in good and item is not _GONE}
    if isinstance(value, list):
        items = [_without_objects(item, names) for item in value]
        return _GONE if any(item is _GONE for item in items) else items
    return value
