"""Training figures on disk: ``metrics.jsonl`` and TensorBoard."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from torch.utils.tensorboard.writer import SummaryWriter

_FILE = "metrics.jsonl"


class MetricsWriter:
    """Appends the figures of an iteration to ``metrics.jsonl`` and to TensorBoard's event file.

    Args:
        folder: OUTPUT_DIR; made if needed.
        start_iteration: what an earlier run wrote about later iterations is discarded, so a
            resumed run leaves the file of an uninterrupted one.
    """

    def __init__(self, folder: str | Path, start_iteration: int = 0) -> None:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / _FILE
        _discard_after(path, start_iteration)
        self._lines = path.open("a", encoding="utf-8")
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=start_iteration + 1)

    def write(
        self, iteration: int, values: Mapping[str, float], *, group: str | None = None
    ) -> None:
        """Record the figures of one iteration; they are on disk on return.

        Args:
            iteration: from 1.
            values: by name; those that are not finite are left out, as JSON has no such numbers
                (the gradient's norm where a scaled loss overflowed).
            group: their heading in TensorBoard; None: ``loss`` for losses, ``run`` for the rest.
        """
        values = {name: value for name, value in values.items() if math.isfinite(value)}
        self._lines.write(json.dumps({"iteration": iteration, **values}) + "\n")
        self._lines.flush()
        for name, value in values.items():
            heading = group or ("loss" if name.startswith("loss") else "run")
            self._board.add_scalar(f"{heading}/{name}", value, iteration)

    def close(self) -> None:
        """Finish both files."""
        self._lines.close()
        self._board.close()

    def __enter__(self) -> MetricsWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _discard_after(path: Path, iteration: int) -> None:
    """Keep the whole lines of ``path`` up to ``iteration``; a line cut off by a crash goes too."""
    if not path.is_file():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if not line.endswith("\n") or json.loads(line)["iteration"] > iteration:
            break
        kept.append(line)
    path.write_text("".join(kept), encoding="utf-8")
