"""Atomic file writes."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

from maskrcnn_benchmark.utils.file_names import fitted_name


def draft_path(path: Path) -> Path:
    """Return the path that a file is written to until it is complete: ``<its name>.tmp``."""
    return path.with_name(fitted_name(path.name, ".tmp"))


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file atomically: readers see the complete old or the complete new content.

    Args:
        path: the file to create or replace.
        write: receives an open binary file and writes the content to it.
    """
    draft = draft_path(path)
    with draft.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    if not hasattr(os, "O_DIRECTORY"):  # Windows cannot open a folder
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
