"""Lower bounds in ``pyproject.toml`` match the set tested by ``make oldest``."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
REQUIREMENT = re.compile(r'"([\w-]+)>=([\d.]+)"')
NOT_IN_TESTS = {"setuptools", "notebook", "ruff", "mypy", "pre-commit", "clang-format"}
NOT_IN_TESTS |= {"selenium"}  # `pytest -m browser` runs with the newest versions alone


def test_the_oldest_set_has_every_lower_bound():
    wanted = dict(REQUIREMENT.findall((ROOT / "pyproject.toml").read_text()))
    text = (ROOT / "constraints-oldest.txt").read_text()
    pinned = dict(re.findall(r"^([\w-]+)==([\d.]+)$", text, re.MULTILINE))
    assert len(wanted) > 15
    assert pinned.keys() == wanted.keys() - NOT_IN_TESTS
    for name, version in pinned.items():
        bound = wanted[name]
        assert f"{version}.".startswith(f"{bound}."), f"{name}: {version} is not {bound}"
