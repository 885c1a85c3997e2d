"""Measured results state date, machine, command and commit."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RESULTS = sorted((ROOT / "benchmarks" / "results").glob("*.md"))


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
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


def test_there_are_results():
    assert len(RESULTS) >= 7
