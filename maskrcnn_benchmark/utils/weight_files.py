"""Reading files of weights, and finding the model's tensors in what they hold."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .model_serialization import strip_module_prefix
from .torchvision_weights import convert_torchvision_resnet, is_torchvision_resnet


def _read_torch(path: Path) -> dict[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"{path}: not a checkpoint of tensors and plain values that torch can read safely "
            f"({first_line})"
        ) from error
    if not isinstance(content, Mapping):
        raise ValueError(f"{path}: holds a {type(content).__name__}, not a dict of tensors")
    return dict(content)


def _read_npz(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as arrays:
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


_READERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    ".pth": _read_torch,
    ".pt": _read_torch,
    ".npz": _read_npz,
}


def read_weights(path: str | Path) -> dict[str, Any]:
    """Return what a file of weights holds, on the CPU.

    Args:
        path: ``.pth`` or ``.pt`` (torch, read with ``weights_only=True``) or ``.npz`` (numpy).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is of another kind or cannot be read.
    """
    path = Path(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise ValueError(f"{path}: weights must be a file ending in {', '.join(_READERS)}")
    if not path.is_file():
        raise FileNotFoundError(f"no file of weights at {path} (MODEL.WEIGHT or last_checkpoint)")
    return reader(path)


def model_tensors(content: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the model's tensors out of a file's content, under names that suit our models.

    Takes a bare state dict or one under ``model``, with or without ``module.`` before every name;
    a torchvision ResNet is renamed.

    Raises:
        ValueError: it holds things other than tensors.
    """
    state = content.get("model", content)
    if not isinstance(state, Mapping):
        raise ValueError(f"expected a dict of tensors under 'model', got {type(state).__name__}")
    others = [str(name) for name, value in state.items() if not isinstance(value, Tensor)]
    if others:
        raise ValueError(
            f"expected a state dict (names -> tensors); these are not tensors: {others[:5]}"
        )
    state = strip_module_prefix(state)
    return convert_torchvision_resnet(state) if is_torchvision_resnet(state) else state
