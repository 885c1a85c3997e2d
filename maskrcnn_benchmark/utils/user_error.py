"""Errors that the user can fix, reported in one line, and how a program exits on them."""

import contextlib
import errno
import io
import os
import platform
import sys
import traceback
from collections.abc import Iterator
from typing import NoReturn

_FULL_DISK = (errno.ENOSPC, errno.EDQUOT)
_LIBRARIES = ("torch", "torchvision", "numpy")


class UserError(ValueError):
    """An error in the data, the config or the command line; the message says how to fix it.

    Args:
        message: what is wrong. Torch's loader re-creates an error of a worker process from the
            worker's whole traceback; only the part after the error's name is kept.
    """

    def __init__(self, message: str) -> None:
        name = f"\n{type(self).__module__}.{type(self).__qualname__}: "
        super().__init__(message.rpartition(name)[2].rstrip("\n"))


class MissingFileError(UserError, FileNotFoundError):
    """A file named by the data or the command line does not exist."""


class MissingPackageError(UserError, ImportError):
    """A requested feature needs an optional package that is not installed."""


@contextlib.contextmanager
def user_errors() -> Iterator[None]:
    """Convert any ValueError, OSError and ImportError to a ``UserError``.

    Meant for the setup of a run, where these are caused by the user's input, except for a
    ValueError raised deep inside torch. Later, only a ``UserError`` is.
    """
    try:
        yield
    except (ValueError, OSError, ImportError) as error:
        if isinstance(error, UserError) or _is_refused_file(error):
            raise
        if not isinstance(error, OSError | ImportError) and _is_of_a_library(error):
            raise
        kind: type[UserError] = UserError
        if isinstance(error, FileNotFoundError):
            kind = MissingFileError
        elif isinstance(error, ImportError):
            kind = MissingPackageError
        raise kind(str(error)) from error


@contextlib.contextmanager
def failures_named() -> Iterator[None]:
    """Convert exceptions to an exit code and a message; use as a decorator of ``main``.

    A ``UserError``, or a file that cannot be read or written, is reported in one line with exit
    code 2. Ctrl-C exits with code 130, the shell's convention. Anything else is a bug, and its
    traceback is shown. In a job of several processes, the message names the rank.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # any name can be printed on any terminal
            stream.reconfigure(errors="backslashreplace")
    try:
        yield
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        raise SystemExit(130) from None
    except Exception as error:
        if isinstance(error, UserError) or _is_refused_file(error):
            _end(error)
        if rank := _rank():
            sys.stderr.write(
                f"error: {rank} fails: {type(error).__name__}: {str(error).partition(chr(10))[0]}\n"
                "If another process failed first, that is the cause. The same command resumes "
                "from the last checkpoint.\n"
            )
        raise


def _end(error: Exception) -> NoReturn:
    rank = _rank()
    sys.stderr.write(f"error: {rank}{': ' if rank else ''}{error}\n")
    raise SystemExit(2) from None


def _rank() -> str:
    """Return a description of this process by its rank; "" if the job has one process."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    return f"rank {os.environ.get('RANK')} of {size} on {platform.node()}" if size > 1 else ""


def _is_refused_file(error: Exception) -> bool:
    return isinstance(error, OSError) and (error.filename is not None or error.errno in _FULL_DISK)


def _is_of_a_library(error: Exception) -> bool:
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__")).partition(".")[0] in _LIBRARIES
