"""Values recorded from the original code, in ``tests/reference``."""

import json
from pathlib import Path
from typing import Any

import numpy as np

REFERENCE = Path(__file__).parent.parent / "reference"


def load_vector(name: str, folder: str = "vectors") -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the description and the arrays (possibly ``{}``) of one recorded case."""
    meta = json.loads((REFERENCE / folder / f"{name}.json").read_text())
    path = REFERENCE / folder / f"{name}.npz"
    if not path.exists():
        return meta, {}
    with np.load(path) as arrays:
        return meta, dict(arrays)
