"""Norms of a converted model: their place beside the convolutions, and their values."""

import re

import torch
from torch import Tensor

_BODY_NORM = re.compile(r"backbone\.body\.(.*\.)?(bn\d|downsample\.1)\.weight")
_NORM = re.compile(r"(backbone\.fpn\.fpn_\w+|.*\.mask_fcn\d)\.1\.weight|.*\.xconvs\.norm\d\.weight")
_XCONV = re.compile(r"(.*\.xconvs)\.(conv|norm)(\d)\.(\w+)")


def place_norms(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors with the names that convolutions have in our model beside a norm.

    The rules of ``sources.py`` name a convolution as if it had no norm, for example ``fpn_inner1``,
    its norm ``fpn_inner1.1``, and the convolutions of the box head ``xconvs.conv0``. In our model
    the convolution is then ``fpn_inner1.0``, and ``xconvs`` is a sequence of convolution, norm
    and ReLU.
    """
    norms = {name.removesuffix(".1.weight") for name in state if _NORM.fullmatch(name)}
    step = 3 if any(_XCONV.fullmatch(name) and ".norm" in name for name in state) else 2
    placed = {}
    for name, tensor in state.items():
        layer, _, leaf = name.rpartition(".")
        if match := _XCONV.fullmatch(name):
            index = step * int(match[3]) + (match[2] == "norm")
            name = f"{match[1]}.{index}.{match[4]}"
        elif layer in norms:
            name = f"{layer}.0.{leaf}"
        placed[name] = tensor
    return placed


def complete_norms(state: dict[str, Tensor], eps: float) -> None:
    """Turn all batch norms into frozen ones: add epsilon to the variances, in place.

    Norms of the body without statistics are group norms, which stay as they are, if pyramid or
    heads have norms without statistics too. Otherwise they are batch norms whose statistics were
    folded into their weights, and get mean 0 and variance 1.

    Args:
        state: tensors with the names of the rules, before ``place_norms``.
        eps: epsilon of the batch norms.
    """
    norms = [_stem(n) for n in state if _BODY_NORM.fullmatch(n) or _NORM.fullmatch(n)]
    bare = [norm for norm in norms if f"{norm}running_var" not in state]
    is_grouped = any(_NORM.fullmatch(f"{norm}weight") for norm in bare)
    for norm in norms:
        if norm not in bare:
            state[f"{norm}running_var"] += eps
        elif not is_grouped:
            state[f"{norm}running_mean"] = torch.zeros_like(state[f"{norm}weight"])
            state[f"{norm}running_var"] = torch.ones_like(state[f"{norm}weight"])


def _stem(name: str) -> str:
    return name.removesuffix("weight")
