"""User-provided setup code, run before anything else."""

import os
import runpy
from pathlib import Path


def setup_environment() -> None:
    """Run the Python file named by ``TORCH_DETECTRON_ENV_MODULE``, if set.

    If the file defines ``setup_environment``, that function is called after the file has run.

    Raises:
        FileNotFoundError: the variable names no file.
    """
    path = os.environ.get("TORCH_DETECTRON_ENV_MODULE")
    if not path:
        return
    if not Path(path).is_file():
        raise FileNotFoundError(f"TORCH_DETECTRON_ENV_MODULE={path}: no such file")
    names = runpy.run_path(path)
    if "setup_environment" in names:
        names["setup_environment"]()
