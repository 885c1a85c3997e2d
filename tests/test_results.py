"""Measured results state date, machine, command and commit."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RESULTS = sorted((ROOT / "benchmarks" / "results").glob("*.md"))
MODEL_RESULTS = sorted((ROOT / "benchmarks" / "results").glob("*-model.json"))
ROWS_RESULTS = sorted(set((ROOT / "benchmarks" / "results").glob("*.json")) - {*MODEL_RESULTS})


@pytest.mark.parametrize("path", RESULTS, ids=str)
def test_a_result_has_date_machine_command_and_commit(path):
    head = path.read_text().split("\n|", 1)[0]  # before the first table
    assert re.search(r"\b20\d\d-\d\d-\d\d\b", head), "the date"
    assert re.search(r"AMD|Intel|NVIDIA|Apple", head), "the machine"
    assert re.search(r"\d+ cores|one thread|GPU", head), "how much of it"
    assert re.search(r"\bcommit [0-9a-f]{7,40}\b", head), "the commit"
    (command,) = re.findall(r"^```\n(.+?)^```$", head, re.MULTILINE | re.DOTALL)
    scripts = re.findall(r"(?:benchmarks|tools)/\w+\.(?:sh|py)", command)
    assert scripts, "the command"
    assert all((ROOT / script).is_file() for script in scripts)


@pytest.mark.parametrize("path", MODEL_RESULTS, ids=str)
def test_a_comparison_of_models_states_the_same_for_each_part(path):
    found = header_of(path)
    assert found["parts"]
    for part in found["parts"].values():
        assert re.fullmatch(r"[0-9a-f]{7,40}", part["commit"]), "committed code only"
        script = re.match(r"python (benchmarks/\w+\.py) ", part["command"])
        assert script and (ROOT / script[1]).is_file()
        for row in part["rows"]:
            assert row["ratio"] == pytest.approx(row["other"] / row["ours"], rel=0.01)


def header_of(path):
    found = json.loads(path.read_text())
    assert path.name.startswith(f"{found['date']}-")
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", found["date"])
    assert re.search(r"(AMD|Intel|Apple).*\d+ cores", found["machine"])
    assert found["threads"]
    assert found["torch"]
    return found


@pytest.mark.parametrize("path", ROWS_RESULTS, ids=str)
def test_a_result_of_rows_states_command_and_commit(path):
    found = header_of(path)
    assert re.fullmatch(r"[0-9a-f]{7,40}", found["commit"]), "committed code only"
    script = re.match(r"python (benchmarks/\w+\.py)", found["command"])
    assert script
    assert (ROOT / script[1]).is_file()
    assert found["rows"]


def test_the_tables_of_many_gpus_follow_from_the_measurement():
    page = ROOT / "benchmarks" / "SCALING.md"
    before = page.read_text()
    command = [sys.executable, str(ROOT / "benchmarks" / "scaling_model.py"), "--check"]
    found = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    assert found.returncode == 0, f"run python benchmarks/scaling_model.py\n{found.stdout}"
    assert page.read_text() == before
    assert "| 512 | 400 | bf16 |" in before


def test_there_are_results():
    assert len(RESULTS) >= 7
