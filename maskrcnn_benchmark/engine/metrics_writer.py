"""Training metrics on disk: ``metrics.jsonl`` and TensorBoard."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from torch.utils.tensorboard.writer import SummaryWriter

_FILE = "metrics.jsonl"


class MetricsWriter:
    """Writer of metrics to ``metrics.jsonl`` and to TensorBoard's event file.

    Args:
        folder: OUTPUT_DIR; created if needed.
        start_iteration: entries of an earlier run after this iteration are discarded, so a
            resumed run produces the same file as an uninterrupted one.
    """

    def __init__(self, folder: str | Path, start_iteration: int = 0) -> None:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / _FILE
        self._last = _discard_after(path, start_iteration)
        self._lines = path.open("a", encoding="utf-8")
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=start_iteration + 1)

    def write(
        self, iteration: int, values: Mapping[str, float], *, group: str | None = None
    ) -> None:
        """Record the metrics of one iteration; they are on disk on return.

        Args:
            iteration: iteration number, from 1.
            values: metrics by name; non-finite values, such as the gradient norm of an overflowed
                step, are skipped because JSON cannot represent them.
            group: tag prefix in TensorBoard; None: ``loss`` for losses, ``run`` for the rest.
        """
        values = {name: value for name, value in values.items() if math.isfinite(value)}
        line = json.dumps({"iteration": iteration, **values}) + "\n"
        if line == self._last:  # a resumed run repeats an evaluation that was not saved
            return
        self._last = line
        self._lines.write(line)
        self._lines.flush()
        for name, value in values.items():
            heading = group or ("loss" if name.startswith("loss") else "run")
            self._board.add_scalar(f"{heading}/{name}", value, iteration)

    def close(self) -> None:
        """Close both files."""
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


def _discard_after(path: Path, iteration: int) -> str:
    """Remove the lines after ``iteration``, and a last line truncated by a crash.

    Returns:
        The last remaining line, or "".
    """
    if not path.is_file():
        return ""
    kept: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if not line.endswith("\n") or json.loads(line)["iteration"] > iteration:
            break
        kept.append(line)
    path.write_text("".join(kept), encoding="utf-8")
    return kept[-1] if kept else ""
