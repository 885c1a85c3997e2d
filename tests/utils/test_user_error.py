"""User errors are reported in one line; bugs keep their traceback."""

import contextlib
import errno
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from maskrcnn_benchmark.utils.user_error import (
    MissingFileError,
    MissingPackageError,
    UserError,
    failures_named,
    user_errors,
)

ROOT = Path(__file__).parents[2]


class Broken:
    """A data set whose samples cannot be read."""

    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 1

    def __getitem__(self, index):
        try:
            raise OSError("disk")
        except OSError as cause:
            raise self.error from cause


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    "error", [UserError("image id 3: it is: bad"), MissingFileError("image a.png does not exist")]
)
def test_an_error_of_a_worker_keeps_its_own_words(error, workers):
    with pytest.raises(type(error)) as raised:
        list(DataLoader(Broken(error), num_workers=workers))
    assert str(raised.value) == str(error)


@pytest.mark.parametrize("kind", [UserError, MissingFileError, MissingPackageError])
def test_the_kinds_are_still_those_of_python(kind):
    assert isinstance(kind("text"), ValueError)
    assert str(kind("text\nof two lines")) == "text\nof two lines"
    assert isinstance(MissingFileError("a"), FileNotFoundError)
    assert isinstance(MissingPackageError("a"), ImportError)


def ended(context, error):
    with pytest.raises(SystemExit) as stop, context():
        raise error
    return stop.value.code


@contextlib.contextmanager
def set_up():
    """Simulate the setup of a run in a program."""
    with failures_named(), user_errors():
        yield


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("a"), UserError),
        (MissingFileError("a"), MissingFileError),
        (FileNotFoundError("a"), MissingFileError),
        (ImportError("a"), MissingPackageError),
        (OSError("no network"), UserError),
        (PermissionError(errno.EACCES, "no", "out.png"), PermissionError),
    ],
)
def test_in_a_library_what_the_user_gave_is_an_error_of_its_kind(error, kind):
    with pytest.raises(kind) as raised, user_errors():
        raise error
    assert type(raised.value) is kind
    assert str(raised.value) == str(error)


@pytest.mark.parametrize(
    "error",
    [
        *(ValueError("a bad\nvalue"), FileNotFoundError("no file"), ImportError("no av")),
        UserError("bad data"),
    ],
)
def test_in_the_set_up_what_the_user_gave_is_to_blame(capsys, error):
    assert ended(set_up, error) == 2
    assert capsys.readouterr().err == f"error: {error}\n"


def test_errors_raised_inside_torch_are_bugs():
    with pytest.raises(ValueError, match="divisible"), user_errors():
        torch.nn.Conv2d(3, 4, 1, groups=2)


@pytest.mark.parametrize(
    "error",
    [
        *(UserError("bad data"), MissingFileError("no file")),
        *(PermissionError(errno.EACCES, "no", "out.png"), OSError(errno.ENOSPC, "full")),
    ],
)
def test_later_the_users_errors_are_those_that_say_so(capsys, monkeypatch, error):
    assert ended(failures_named, error) == 2
    assert capsys.readouterr().err == f"error: {error}\n"
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", "3")
    assert ended(failures_named, error) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: rank 3 of 4 on ")
    assert told.endswith(f": {error}\n")
    assert told.count("\n") == 1


@pytest.mark.parametrize("error", [ValueError("shapes"), OSError("a pipe"), KeyError("a")])
def test_other_errors_are_bugs_and_name_the_rank(capsys, monkeypatch, error):
    with pytest.raises(type(error)), failures_named():
        raise error
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", "3")
    with pytest.raises(type(error)), failures_named():
        raise error
    told = capsys.readouterr().err
    assert told.startswith("error: rank 3 of 4 on ")
    assert f" fails: {type(error).__name__}: " in told


def test_ctrl_c_ends_the_program_without_a_traceback(capsys):
    assert ended(failures_named, KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_names_that_the_terminal_cannot_show_are_printed():
    code = (
        "from maskrcnn_benchmark.utils.user_error import failures_named\n"
        "with failures_named(): print('Stra\\xdfe')"
    )
    result = subprocess.run(
        [sys.executable, "-X", "utf8=0", "-c", code],
        env={"LC_ALL": "POSIX", "PYTHONPATH": str(ROOT), "PYTHONCOERCECLOCALE": "0"},
        capture_output=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (0, b"Stra\\xdfe\n"), result.stderr
