"""Read weight files and find the model's tensors in them."""

import logging
import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from maskrcnn_benchmark.checkpoint.array_pickle import read_array_pickle
from maskrcnn_benchmark.checkpoint.caffe2 import convert_caffe2, is_caffe2
from maskrcnn_benchmark.checkpoint.loading import strip_module_prefix
from maskrcnn_benchmark.checkpoint.torch_pickle import one_line, read_foreign_checkpoint
from maskrcnn_benchmark.checkpoint.torchvision_resnet import (
    convert_torchvision_resnet,
    is_torchvision_resnet,
)


def _read_torch(path: Path) -> dict[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:  # not only tensors and plain values
        content, left_out = read_foreign_checkpoint(path)
        logging.getLogger(__name__).info(f"{path} is read without {', '.join(left_out)}")
        return content
    except (RuntimeError, EOFError) as error:
        raise ValueError(
            f"{path}: not a checkpoint that torch can read ({one_line(error)})"
        ) from error
    if not isinstance(content, Mapping):
        raise ValueError(f"{path}: contains a {type(content).__name__}, not a dict of tensors")
    return dict(content)


def _read_npz(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as arrays:
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _read_safetensors(path: Path) -> dict[str, Any]:
    try:
        return dict(load_file(path))
    except SafetensorError as error:
        raise ValueError(f"{path}: not a safetensors file ({error})") from error


def _read_pickle(path: Path) -> dict[str, Any]:
    if zipfile.is_zipfile(path):  # written by torch.save, with another suffix
        return _read_torch(path)
    content = read_array_pickle(path)
    if not isinstance(content, Mapping):
        raise ValueError(f"{path}: contains a {type(content).__name__}, not a dict of arrays")
    tensors = _with_tensors(content)
    assert isinstance(tensors, dict)
    return tensors


def _with_tensors(value: Any) -> Any:
    """Return ``value`` with the arrays in its dicts converted to tensors."""
    if isinstance(value, Mapping):
        return {str(name): _with_tensors(item) for name, item in value.items()}
    return torch.from_numpy(value) if isinstance(value, np.ndarray) else value


_READERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    ".pth": _read_torch,
    ".pt": _read_torch,
    ".pkl": _read_pickle,
    ".safetensors": _read_safetensors,
    ".npz": _read_npz,
}


def check_ending(path: str | Path) -> None:
    """Reject a file that ``read_weights`` cannot read.

    Raises:
        ValueError: the suffix is not one of a weight file.
    """
    if Path(path).suffix.lower() not in _READERS:
        raise ValueError(f"{path}: a weight file must end in {', '.join(_READERS)}")


def read_weights(path: str | Path) -> dict[str, Any]:
    """Return the content of a weight file on the CPU, without executing code from it.

    Args:
        path: ``.pth`` or ``.pt`` (torch; objects of unknown classes are dropped), ``.pkl``
            (Detectron's pickles of NumPy arrays), ``.safetensors`` or ``.npz`` (NumPy).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is of another kind or cannot be read.
    """
    path = Path(path)
    check_ending(path)
    if not path.is_file():
        raise FileNotFoundError(f"no weight file at {path} (MODEL.WEIGHT or last_checkpoint)")
    return _READERS[path.suffix.lower()](path)


# key of the averaged weights in our checkpoints, the state of a torch AveragedModel
AVERAGED = "ema"
_HOLDERS = (
    "model",
    "state_dict",
    "blobs",
)  # used by us and Detectron2; by timm and others; by Detectron


def model_tensors(
    content: Mapping[str, Any], *, averaged: bool = True, rename_resnet: bool = True
) -> dict[str, Tensor]:
    """Return the tensors of a model from the content of a file, renamed for our models.

    Accepts a state dict, directly or under ``model``, ``state_dict`` or ``blobs``, with or without
    the prefix ``module.``; torchvision or timm ResNets and Detectron blobs are renamed.

    Args:
        content: see ``read_weights``.
        averaged: whether to prefer the averaged weights (``SOLVER.EMA_DECAY``) if there are any.
        rename_resnet: whether to rename a torchvision or timm ResNet for our ResNet; a timm body
            keeps the names of timm.

    Raises:
        ValueError: a value is not a tensor, or the ResNet variant is not supported.
    """
    if averaged and has_averaged(content):
        average = content[AVERAGED]
        return strip_module_prefix({k: v for k, v in average.items() if k != "n_averaged"})
    holder = next((name for name in _HOLDERS if name in content), None)
    state = content if holder is None else content[holder]
    if not isinstance(state, Mapping):
        raise ValueError(f"expected a dict of tensors under {holder!r}, got {type(state).__name__}")
    others = [str(name) for name, value in state.items() if not isinstance(value, Tensor)]
    if others:
        raise ValueError(
            f"expected a state dict (names -> tensors); these are not tensors: {others[:5]}"
        )
    state = strip_module_prefix(state)
    if is_caffe2(state):
        return convert_caffe2(state)
    is_foreign = rename_resnet and is_torchvision_resnet(state)
    return convert_torchvision_resnet(state) if is_foreign else state


def has_averaged(content: Mapping[str, Any]) -> bool:
    """Return whether the content is a checkpoint of ours with averaged weights."""
    return isinstance(content.get(AVERAGED), Mapping) and "n_averaged" in content[AVERAGED]
