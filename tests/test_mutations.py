"""The runner of ``mutations.yaml``, on a project of two lines."""

import pytest

from tests.mutations import ROOT, Mutation, is_stale, read_table, verdict


@pytest.fixture
def project(tmp_path):
    (tmp_path / "code_under_test.py").write_text("def double(x):\n    return 2 * x\n")
    test = "from code_under_test import double\n\n\ndef test_it():\n    assert double(2) == 4\n"
    (tmp_path / "test_it.py").write_text(test)
    return tmp_path


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("2 * x", "3 * x", "caught"),
        ("2 * x", "x * x", "survived"),
        ("2 * y", "3 * y", "stale"),
        ("x", "y", "stale"),  # not once
    ],
)
def test_verdicts(project, old, new, expected):
    before = (project / "code_under_test.py").read_text()
    mutation = Mutation("a defect", "code_under_test.py", old, new, ("test_it.py",))
    caught_by = "test_it.py::test_it" if expected == "caught" else ""
    assert verdict(mutation, project) == (expected, caught_by)
    assert (project / "code_under_test.py").read_text() == before
    if expected == "caught":
        missing = Mutation("a defect", "code_under_test.py", old, new, ("nowhere.py",))
        assert verdict(missing, project) == ("no verdict", "")


def test_each_entry_names_a_file_and_tests_that_exist():
    table = read_table()
    assert len({mutation.name for mutation in table}) == len(table)
    for mutation in table:
        assert mutation.old != mutation.new
        assert mutation.tests
        paths = [mutation.file, *(test.split("::")[0] for test in mutation.tests)]
        assert [path for path in paths if not (ROOT / path).exists()] == []
    # where the code has moved on the runner says so; most entries must still bite
    assert sum(is_stale(mutation) for mutation in table) <= len(table) // 4
