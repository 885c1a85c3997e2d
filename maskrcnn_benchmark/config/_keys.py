"""Helpers shared by the config checks."""

from collections.abc import Iterator, Sequence
from typing import Any

from yacs.config import CfgNode


def get(cfg: CfgNode, key: str) -> Any:
    """Return the value of a full key, such as ``"MODEL.DEVICE"``."""
    node: Any = cfg
    for name in key.split("."):
        node = getattr(node, name)
    return node


def one_of(cfg: CfgNode, key: str, known: Sequence[str]) -> Iterator[str]:
    """Check that the value of ``key`` is one of ``known``."""
    value = get(cfg, key)
    if value not in known:
        yield f"{key} is {value!r}; it must be one of {', '.join(known)}"
