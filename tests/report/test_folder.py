"""Folders whose files are all new or all old."""

import pytest

from maskrcnn_benchmark.report.folder import written_together
from maskrcnn_benchmark.utils.user_error import UserError

NAMES = ("a.html", "a.json")


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_files_appear_together_and_others_stay(tmp_path):
    output = tmp_path / "new" / "folder"
    with written_together(output, NAMES) as draft:
        (draft / "a.html").write_text("1")
        (draft / "a.json").write_text("2")
        assert not list(output.glob("a.*"))
    assert contents(output) == {"a.html": "1", "a.json": "2"}
    (output / "notes.txt").write_text("mine")
    with written_together(output, NAMES) as draft:
        (draft / "a.html").write_text("3")
    assert contents(output) == {"a.html": "3", "notes.txt": "mine"}


def test_a_failure_leaves_the_earlier_files(tmp_path):
    for name in NAMES:
        (tmp_path / name).write_text("old")
    with pytest.raises(RuntimeError), written_together(tmp_path, NAMES) as draft:
        (draft / "a.html").write_text("half")
        raise RuntimeError
    assert contents(tmp_path) == {"a.html": "old", "a.json": "old"}


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "out").write_text("")
    for output in (tmp_path / "out", tmp_path / "out" / "inside"):
        with (
            pytest.raises(UserError, match="cannot be a folder: there is a file"),
            written_together(output, NAMES),
        ):
            raise AssertionError("nothing may be written")
