"""What changed between two configs that were saved as YAML text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

_WITHOUT_EFFECT = ("OUTPUT_DIR",)
_ABSENT = "(none)"


def config_changes(before: str, after: str) -> list[str]:
    """Return ``"SOLVER.BASE_LR 0.01 -> 0.02"`` for each key whose value differs."""
    old, new = (dict(_leaves(yaml.safe_load(text))) for text in (before, after))
    keys = [key for key in (old | new) if key not in _WITHOUT_EFFECT]
    pairs = ((key, old.get(key, _ABSENT), new.get(key, _ABSENT)) for key in keys)
    return [f"{key} {was} -> {now}" for key, was, now in pairs if was != now]


def _leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield full keys and values of a tree."""
    if not isinstance(node, dict):
        yield path, node
        return
    for key, value in node.items():
        yield from _leaves(value, f"{path}.{key}" if path else str(key))
