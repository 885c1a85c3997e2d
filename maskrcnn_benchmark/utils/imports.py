"""Import of a Python file by path."""

import importlib.util
from pathlib import Path
from types import ModuleType


def import_file(name: str, path: str | Path) -> ModuleType:
    """Run the Python file at ``path`` and return it as a module called ``name``.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{name}: {path} does not exist")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
