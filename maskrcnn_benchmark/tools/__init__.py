"""The programs of ``tools/`` as modules, such as ``maskrcnn_benchmark.tools.train_net``.

A wheel holds them in this folder; in a checkout they are found in ``tools/`` at its top.
"""

from pathlib import Path

__path__.append(str(Path(__file__).parents[2] / "tools"))
