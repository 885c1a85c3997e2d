"""Output folders that are complete or not there at all."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from maskrcnn_benchmark.utils.user_error import UserError


def make_folder(output: str | Path) -> Path:
    """Return a folder that exists; call it before a long computation.

    Raises:
        UserError: there is a file of that name.
        OSError: the folder cannot be created.
    """
    output = Path(output)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UserError(f"{output} cannot be a folder: there is a file of that name") from None
    return output


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
        UserError: see ``make_folder``.
        OSError: the folder cannot be written to.
    """
    output = make_folder(output)
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
