"""File names as text, on disk, and truncated to the maximum length."""

import os
import subprocess
import sys
from pathlib import Path

from maskrcnn_benchmark.utils.atomic_file import draft_path, write_atomically
from maskrcnn_benchmark.utils.file_names import fitted_name, name_in_text, name_on_disk

ROOT = Path(__file__).parents[2]


def test_a_name_of_utf8_stays():
    for name in ("a.png", "Straße/猫.png"):
        assert name_in_text(name) == name_on_disk(name) == name


def test_a_name_that_is_not_utf8_comes_back():
    name = os.fsdecode(b"K\xf6ln.png")  # in Latin-1
    assert name_on_disk(name_in_text(name)) == name


def test_in_a_locale_of_ascii_text_is_utf8_all_the_same(tmp_path):
    (tmp_path / "Köln.png").write_bytes(b"content")
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from maskrcnn_benchmark.utils.file_names import name_in_text, name_on_disk\n"
        "assert sys.getfilesystemencoding() == 'ascii'\n"
        "(name,) = os.listdir(sys.argv[1])\n"
        "assert name != 'K\\xf6ln.png' == name_in_text(name)\n"
        "assert Path(sys.argv[1], name_on_disk('K\\xf6ln.png')).read_bytes() == b'content'\n"
    )
    environment = os.environ | {"LC_ALL": "POSIX", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-X", "utf8=0", "-c", code, str(tmp_path)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_long_names_are_cut_between_characters():
    assert fitted_name("a" * 251, ".png") == "a" * 251 + ".png"
    one, other = (fitted_name("猫" * 84 + end, ".png") for end in ("1", "2"))
    assert one != other
    for name in (one, other):
        assert len(name.encode()) <= 255
        assert name.startswith("猫" * 80)
        assert name.endswith(".png")


def test_a_file_of_the_longest_name_is_written(tmp_path):
    path = tmp_path / ("a" * 255)
    write_atomically(path, lambda file: file.write(b"content"))
    assert path.read_bytes() == b"content"
    assert list(tmp_path.iterdir()) == [path]
    assert draft_path(tmp_path / "b").name == "b.tmp"
