"""Find, parse and read YAML configs with their ``_BASE_``."""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

BASE_KEY = "_BASE_"
_PACKAGE = Path(__file__).parents[1]


def shipped_configs() -> dict[str, Path]:
    """Return the shipped configs by name: the path below ``configs`` without ``.yaml``."""
    packed = _PACKAGE / "configs"  # in a wheel; a checkout has it next to the package
    folder = packed if packed.is_dir() else _PACKAGE.parent / "configs"
    files = sorted(folder.rglob("*.yaml"))
    return {file.relative_to(folder).with_suffix("").as_posix(): file for file in files}


def find_config_file(name: str | Path, folder: Path | None = None) -> Path:
    """Return the path of a config.

    Args:
        name: path of a file or, if there is no such file, name of a shipped config such as
            ``e2e_ms_rcnn_R_50_FPN_1x`` or ``paper/ms_rcnn_R_50_FPN_18e``, with or without
            ``.yaml``.
        folder: base folder of relative paths; by default the working directory.

    Raises:
        FileNotFoundError: there is neither; the message lists the nearest names.
    """
    path = Path(folder or "", name)
    if path.is_file():
        return path
    shipped = shipped_configs()
    asked = Path(name).as_posix().removesuffix(".yaml")
    if asked in shipped:
        return shipped[asked]
    nearest = get_close_matches(asked, shipped, n=3)
    hint = f"; did you mean {' or '.join(nearest)}?" if nearest else ""
    raise FileNotFoundError(
        f"config file {path} does not exist, and no shipped config is named {asked!r}{hint}"
    )


def parse_yaml(text: str, source: str) -> dict[str, Any]:
    """Return the sections of a YAML config.

    Args:
        text: the YAML; empty text has no sections.
        source: name of the source for error messages.

    Raises:
        ValueError: the text is not YAML, or is not a mapping of sections.
    """
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{source} is not valid YAML: {error}") from error
    if not isinstance(tree, Mapping | None):
        raise ValueError(f"{source} must consist of sections such as 'MODEL:', got {tree!r:.80}")
    return dict(tree or {})


def read_with_bases(name: str | Path) -> list[tuple[str, dict[str, Any]]]:
    """Return the names and sections of a config and its bases, in merge order.

    A file names its base with the top-level key ``_BASE_``, a path relative to the file or the name
    of a shipped config; a base may have a base too. A file overrides its base, so it comes last.

    Args:
        name: see ``find_config_file``.

    Raises:
        FileNotFoundError: there is no such file, or no such base.
        ValueError: a file is not a config, ``_BASE_`` is not a path, or the bases form a cycle.
    """
    chain = [find_config_file(name)]
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
    try:
        return find_config_file(value, path.parent)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path}: {BASE_KEY} {value!r}: {error}") from None
