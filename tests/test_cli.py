"""``msrcnn COMMAND``: dispatch to the right program, name and arguments."""

import importlib
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

import maskrcnn_benchmark
from maskrcnn_benchmark import cli

ROOT = Path(__file__).parents[1]
NAMES = [
    "demo",
    "train",
    "test",
    "predict",
    "inspect",
    "quality",
    "compare",
    "review",
    "convert",
    "analyze",
    "plot",
    "env",
]


def test_every_tool_is_a_command():
    programs = {
        path.stem for path in (ROOT / "tools").glob("*.py") if "__main__" in path.read_text()
    }
    modules = [command.module for command in cli.COMMANDS.values()]
    tools = {name.removeprefix("tools.") for name in modules if name.startswith("tools.")}
    assert tools == programs
    assert [*cli.COMMANDS] == NAMES
    for module in modules:
        assert callable(importlib.import_module(f"maskrcnn_benchmark.{module}").main)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_the_commands_are_listed_with_a_line_each(arguments, capsys):
    cli.main(arguments)
    lines = capsys.readouterr().out.splitlines()
    for name, command in cli.COMMANDS.items():
        assert [line.split(None, 1) for line in lines].count([name, command.summary]) == 1
    assert max(map(len, lines)) <= 90


def test_the_version(capsys):
    cli.main(["--version"])
    assert capsys.readouterr().out == f"maskrcnn_benchmark {maskrcnn_benchmark.__version__}\n"
    assert re.fullmatch(r"\d+\.\d+\.\d+", maskrcnn_benchmark.__version__)


@pytest.mark.parametrize(
    ("given", "nearest"), [("trian", "train"), ("evn", "env"), ("Predict", "predict")]
)
def test_an_unknown_command_is_reported_with_the_nearest(given, nearest, capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main([given, "--help"])
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith(f"error: msrcnn has no command {given!r}; did you mean {nearest}? ")
    assert error.count("\n") == 1


def test_a_command_gets_its_arguments_and_its_name(monkeypatch):
    seen = []
    module = types.ModuleType("stand_in")
    module.main = lambda: seen.append(sys.argv)
    monkeypatch.setitem(sys.modules, "maskrcnn_benchmark.tools.plot_metrics", module)
    monkeypatch.setattr(sys, "argv", ["/env/bin/msrcnn", "plot", "a", "--keys", "b"])
    cli.main()
    cli.main(["plot"])
    assert seen == [["msrcnn plot", "a", "--keys", "b"], ["msrcnn plot"]]


def test_a_mistake_in_a_command_names_it_and_only_it_is_imported(tmp_path):
    script = (
        "import sys; from maskrcnn_benchmark import cli\n"
        "heavy = [m for m in ('torch', 'numpy', 'cv2', 'matplotlib') if m in sys.modules]\n"
        "assert not heavy, heavy\n"
        "try: cli.main()\n"
        "finally: assert not [m for m in sys.modules if m.endswith('train_net')]"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "plot"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("usage: msrcnn plot [-h]")
    assert "msrcnn plot: error: the following arguments are required: OUTPUT_DIR" in done.stderr


def test_the_tools_are_those_of_this_checkout():
    module = importlib.import_module("maskrcnn_benchmark.tools.inspect_data")
    assert Path(module.__file__).samefile(ROOT / "tools" / "inspect_data.py")
