"""Output folders that are complete or not there at all."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def written_together(output: str | Path, names: tuple[str, ...]) -> Iterator[Path]:
    """Give a temporary folder to write files into; at the end they are moved to ``output``.

    If writing fails, ``output`` and earlier files in it are as they were. Files with other names
    are left alone.

    Args:
        output: the folder; created if needed.
        names: names of the files that belong together; earlier ones are replaced, and one that is
            not written this time is removed.

    Raises:
        OSError: the folder cannot be written to.
    """
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=output))
    try:
        yield draft
        for name in names:
            if (draft / name).exists():
                (draft / name).replace(output / name)
            else:
                (output / name).unlink(missing_ok=True)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
