"""What the commands make of their arguments."""

import pytest

from maskrcnn_benchmark.engine.launch.arguments import argument_parser, run_arguments
from maskrcnn_benchmark.utils.user_error import UserError


def parsed(*words):
    return run_arguments(argument_parser("").parse_args(words))


def test_everything_is_handed_on():
    register = ["--register", "b", "b.json", "b/", "--register", "a", "a.json", "a/"]
    found = parsed("--config-file", "x.yaml", *register, "--local-rank", "3", "SEED", "4")
    assert found == {
        "config": "x.yaml",
        "settings": ["SEED", "4"],
        "datasets": {"b": ("b.json", "b/"), "a": ("a.json", "a/")},
        "local_rank": 3,
    }
    assert list(found["datasets"]) == ["b", "a"]  # the first is trained on
    assert parsed() == {"config": "", "settings": [], "datasets": {}, "local_rank": 0}


def test_misplaced_and_repeated_options_are_named():
    with pytest.raises(UserError, match="--register must come before the KEY VALUE settings"):
        parsed("SEED", "4", "--register", "a", "a.json", "a/")
    with pytest.raises(UserError, match="--register 'a' is given twice"):
        parsed(*["--register", "a", "a.json", "a/"] * 2)
