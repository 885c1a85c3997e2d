"""Reading of YAML configs: text to tree, and a file together with its ``_BASE_``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

BASE_KEY = "_BASE_"


def parse_yaml(text: str, source: str) -> dict[str, Any]:
    """Return the sections of a YAML config.

    Args:
        text: the YAML; empty text has no sections.
        source: what to call it in errors.

    Raises:
        ValueError: it is not YAML, or something other than sections.
    """
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{source} is not valid YAML: {error}") from error
    if not isinstance(tree, Mapping | None):
        raise ValueError(f"{source} must hold sections like 'MODEL:', got {tree!r:.80}")
    return dict(tree or {})


def read_with_bases(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return name and sections of a config and of its bases, in the order of merging.

    A file names its base by the top-level key ``_BASE_``, a path relative to the file itself; a
    base may have one too. What a file says overrides its base, so the file comes last.

    Raises:
        FileNotFoundError: there is no such file, or no such base.
        ValueError: a file is no config, ``_BASE_`` is not a path, or the bases form a cycle.
    """
    if not path.is_file():
        raise FileNotFoundError(f"config file {path} does not exist")
    chain = [path]
    layers: list[tuple[str, dict[str, Any]]] = []
    while True:
        path = chain[-1]
        tree = parse_yaml(path.read_text(encoding="utf-8"), str(path))
        layers.insert(0, (str(path), tree))
        if BASE_KEY not in tree:
            return layers
        base = _base_path(path, tree.pop(BASE_KEY))
        is_cycle = any(base.samefile(seen) for seen in chain)
        chain.append(base)
        if is_cycle:
            raise ValueError(f"{BASE_KEY} forms a cycle: {' -> '.join(map(str, chain))}")


def _base_path(path: Path, value: Any) -> Path:
    """Return the path of the base that the config at ``path`` names."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{path}: {BASE_KEY} must be the path of one YAML file, got {value!r}")
    base = path.parent / value
    if not base.is_file():
        raise FileNotFoundError(
            f"{path}: {BASE_KEY} {value!r}, relative to this file, is {base}, which does not exist"
        )
    return base
