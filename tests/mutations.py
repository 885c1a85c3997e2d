"""Mutation testing: insert defects into a copy of the code and check that tests fail.

``python tests/mutations.py [WORD ...]`` tries those of ``mutations.yaml`` whose name or file has
one of the words; all without a word. Each runs only the tests that it names.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
TABLE = Path(__file__).with_suffix(".yaml")
_SECONDS = 900
_PASSED, _FAILED = 0, 1  # pytest's exit codes


@dataclass(frozen=True)
class Mutation:
    """A mutation.

    Attributes:
        name: description of the defect.
        file: path in the project.
        old: text that occurs once in the file.
        new: replacement text.
        tests: test files or tests, one of which should fail.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


def copy_project(copy: Path) -> None:
    """Copy the tracked files and the built extension."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    files = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    for path in [*files, *(ROOT / "maskrcnn_benchmark").glob("*.so")]:
        if path.is_file():
            target = copy / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)


def read_table(path: Path = TABLE) -> list[Mutation]:
    """Return the mutations of a table."""
    entries = yaml.safe_load(path.read_text())
    return [
        Mutation(e["name"], e["file"], e["old"], e["new"], tuple(e["tests"].split()))
        for e in entries
    ]


def is_stale(mutation: Mutation, root: Path = ROOT) -> bool:
    """Return whether the old text does not occur exactly once in the file."""
    path = root / mutation.file
    return not path.is_file() or path.read_text().count(mutation.old) != 1


def run_tests(root: Path, tests: Sequence[str]) -> tuple[int | None, str]:
    """Run tests in a copy of the project, up to the first that fails.

    Returns:
        pytest's exit code, None after the time limit; and the test that failed, if any.
    """
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command,
            cwd=root,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None, "time limit"
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    return done.returncode, failed[1] if failed else ""


def verdict(mutation: Mutation, copy: Path) -> tuple[str, str]:
    """Return ``caught``, ``survived``, ``stale`` or ``no verdict`` (its tests cannot be run).

    Returns:
        The verdict, and the test that caught it.
    """
    if is_stale(mutation, copy):
        return "stale", ""
    path = copy / mutation.file
    before = path.read_text()
    path.write_text(before.replace(mutation.old, mutation.new))
    try:
        code, test = run_tests(copy, mutation.tests)
    finally:
        path.write_text(before)
    if code in (_FAILED, None):  # a hanging test counts as caught
        return "caught", test
    return ("survived" if code == _PASSED else "no verdict"), ""


def main() -> None:
    """Run the command line; the exit code is 1 unless every mutation is caught."""
    parser = argparse.ArgumentParser(description="Do the tests notice defects?")
    parser.add_argument("words", nargs="*", metavar="WORD", help="in the name or the file")
    parser.add_argument("--trust", action="store_true", help="do not run the tests unmutated first")
    args = parser.parse_args()
    chosen = [
        m
        for m in read_table()
        if not args.words or any(w in f"{m.name} {m.file}" for w in args.words)
    ]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        copy_project(copy)
        tests = sorted({test for m in chosen for test in m.tests})
        if not args.trust and run_tests(copy, tests)[0] != _PASSED:
            sys.exit("the tests do not pass without a mutation: " + " ".join(tests))
        found: Counter[str] = Counter()
        for mutation in chosen:
            result, test = verdict(mutation, copy)
            found[result] += 1
            by = f" by {test}" if test else ""
            print(f"{result:10} {mutation.name} ({mutation.file}){by}", flush=True)
    print(", ".join(f"{count} {result}" for result, count in found.items()))
    sys.exit(found["caught"] != len(chosen))


if __name__ == "__main__":
    main()
