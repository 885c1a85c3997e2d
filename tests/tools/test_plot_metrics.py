import importlib
import json
import sys
from pathlib import Path

import pytest

TOOLS = str(Path(__file__).parents[2] / "tools")


@pytest.fixture
def run(monkeypatch):
    """Run the command in this process."""
    monkeypatch.syspath_prepend(TOOLS)

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["plot_metrics.py", *map(str, arguments)])
        importlib.import_module("plot_metrics").main()

    yield command
    sys.modules.pop("plot_metrics", None)


def test_the_picture_lies_with_the_first_run(run, tmp_path, capsys):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        line = json.dumps({"iteration": 20, "loss": 1.0, "lr": 0.01})
        (tmp_path / name / "metrics.jsonl").write_text(line + "\n")
    run(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a" / "metrics.png").read_bytes().startswith(b"\x89PNG")
    assert str(tmp_path / "a" / "metrics.png") in capsys.readouterr().out
    run(tmp_path / "b", "--output", tmp_path / "c.pdf", "--keys", "loss")
    assert (tmp_path / "c.pdf").read_bytes().startswith(b"%PDF")


def test_a_folder_without_a_run_is_reported(run, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        run(tmp_path)
    assert end.value.code == 2
    assert "has no metrics.jsonl" in capsys.readouterr().err
