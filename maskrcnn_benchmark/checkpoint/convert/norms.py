"""Batch norms of a converted model: their place beside the convolutions, and their values."""

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
    """Turn all norms into frozen ones: add epsilon to the variances, in place.

    Norms of the body without statistics, whose effect was folded into their weights, get mean 0 and
    variance 1.

    Args:
        state: tensors with the names of the rules, before ``place_norms``.
        eps: epsilon of the norms.

    Raises:
        ValueError: there are group norms, which cannot be frozen.
    """
    is_grouped = [n for n in state if _NORM.fullmatch(n) and f"{_stem(n)}running_var" not in state]
    if is_grouped:
        raise ValueError(
            f"the model has group norms ({is_grouped[0]} has no running statistics): only "
            "batch norms can be converted"
        )
    for name in [n for n in state if _BODY_NORM.fullmatch(n) or _NORM.fullmatch(n)]:
        norm = _stem(name)
        if f"{norm}running_var" in state:
            state[f"{norm}running_var"] += eps
        else:
            state[f"{norm}running_mean"] = torch.zeros_like(state[name])
            state[f"{norm}running_var"] = torch.ones_like(state[name])


def _stem(name: str) -> str:
    return name.removesuffix("weight")
