"""Import of user modules that register backbones, heads or data sets (``--import``)."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from maskrcnn_benchmark.utils.user_error import MissingFileError, UserError


def import_module(name: str) -> ModuleType:
    """Import a user module by name or by path, which runs its registrations.

    The folder of the file (for a name, the working directory) is appended to ``sys.path``, so that
    data loader workers, which inherit that path, can import the module too.

    Args:
        name: ``my_module``, ``my_package.my_module`` or ``path/to/my_module.py``.

    Raises:
        MissingFileError: there is no such file or module.
        UserError: another module has the same name.
    """
    path = Path(name)
    is_file = path.suffix == ".py"
    if is_file and not path.is_file():
        raise MissingFileError(f"--import {name}: there is no such file")
    folder = str((path.parent if is_file else Path()).resolve())
    if folder not in sys.path:
        sys.path.append(folder)
    wanted = path.stem if is_file else name
    try:
        module = importlib.import_module(wanted)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{wanted}.".startswith(f"{error.name}."):
            raise  # the module exists, but something it imports does not
        raise MissingFileError(
            f"--import {name}: there is no such module in {folder} or elsewhere on Python's path; "
            "the path of a file ends in .py"
        ) from error
    if is_file and (module.__file__ is None or not path.samefile(module.__file__)):
        raise UserError(
            f"--import {name}: Python knows {module.__file__ or 'a module of its own'} by the name "
            f"{wanted!r}; rename the file"
        )
    return module


class ImportModule(argparse.Action):
    """Argparse action of ``--import MODULE``: import the module during argument parsing."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Import one module and append its name to the option's values."""
        del parser, option_string
        import_module(str(values))
        setattr(namespace, self.dest, [*(getattr(namespace, self.dest) or []), values])


def add_import_option(parser: argparse.ArgumentParser) -> None:
    """Add the option ``--import MODULE``, which registers user code."""
    parser.add_argument(
        "--import",
        action=ImportModule,
        metavar="MODULE",
        help="path or name of a Python module to import, which may register custom backbones, "
        "heads or data sets (see docs/EXTENDING.md); repeatable",
    )
