"""Lock a folder between jobs on the same machine."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


@contextlib.contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Hold an exclusive lock on ``folder``; where locks are not supported, do nothing."""
    with contextlib.ExitStack() as released:
        if fcntl is not None:
            descriptor = os.open(folder, os.O_RDONLY)
            released.callback(os.close, descriptor)
            with contextlib.suppress(OSError):  # some network file systems do not support locks
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
