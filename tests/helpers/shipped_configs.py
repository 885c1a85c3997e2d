"""YAMLs in configs/: runnable configs, base configs, and their content."""

from pathlib import Path
from typing import Any

from maskrcnn_benchmark.config.yaml_files import read_with_bases

CONFIGS = Path(__file__).parents[2] / "configs"
_ALL = sorted(path.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob("*.yaml"))
BASES = [name for name in _ALL if Path(name).name.startswith("Base-")]
SHIPPED = [name for name in _ALL if name not in BASES]


def yaml_tree(path: Path) -> dict[str, Any]:
    """Return only the sections that a file and its bases set."""
    tree: dict[str, Any] = {}
    for _, layer in read_with_bases(path):
        _update(tree, layer)
    return tree


def _update(tree: dict[str, Any], changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        if isinstance(value, dict):
            _update(tree.setdefault(name, {}), value)
        else:
            tree[name] = value
