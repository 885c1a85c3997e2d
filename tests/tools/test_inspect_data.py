import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.helpers import square, write_coco

TOOLS = str(Path(__file__).parents[2] / "tools")


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command in this process; return exit code and output."""
    monkeypatch.syspath_prepend(TOOLS)

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["inspect_data.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            importlib.import_module("inspect_data").main()
        return end.value.code, capsys.readouterr()

    yield command
    sys.modules.pop("inspect_data", None)


def test_exit_code_and_output(run, tmp_path):
    sound = [square(1, 1, 5, area=25), square(2, 2, 6, area=36, category_id=7)]
    path, root = write_coco(tmp_path, [(20, 10, sound)])
    code, printed = run(path, root, "--output", tmp_path / "out")
    assert code == 0
    assert "No problems found." in printed.out
    assert f"Report: {tmp_path / 'out' / 'report.md'}" in printed.out

    content = json.loads(path.read_text())
    content["annotations"][1]["area"] = 7
    path.write_text(json.dumps(content))
    code, printed = run(path, root, "--output", tmp_path / "out")
    assert code == 0
    assert "warning: annotation id 2: area is 7" in printed.out

    (root / "0.png").unlink()
    code, printed = run(path, root, "--output", tmp_path / "out")
    assert code == 1
    assert "error: image id 10: image" in printed.out


def test_invalid_data_sets_are_reported(run, tmp_path):
    path, root = write_coco(tmp_path, [(20, 10, [])])
    assert run(path, tmp_path / "nowhere")[0] == 2
    path.write_text("[")
    code, printed = run(path, root)
    assert code == 2
    assert "is not JSON" in printed.err


def test_names_of_any_script_in_an_ascii_terminal(tmp_path):
    path, root = write_coco(tmp_path, [(20, 10, [square(1, 1, 5)])], ((3, "猫"), (7, "chien é")))
    tool, out = f"{TOOLS}/inspect_data.py", tmp_path / "out"
    ascii_only = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, tool, path, root, "--output", out],
        env=os.environ | ascii_only | {"PYTHONPATH": str(Path(TOOLS).parent)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"(chien \\xe9) has no annotation" in done.stdout
    assert "猫" in (out / "report.md").read_text(encoding="utf-8")
    assert "chien é" in (out / "problems.csv").read_text(encoding="utf-8")
