"""The notebook is kept without outputs; ``.ci/run`` executes it."""

import json
from pathlib import Path

NOTEBOOK = Path(__file__).parents[2] / "demo" / "MS_R-CNN_demo.ipynb"


def test_no_output_is_kept():
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(code) > 5
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
