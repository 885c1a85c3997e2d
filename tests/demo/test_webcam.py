"""maskrcnn-benchmark's webcam command is equivalent to ``predict`` with a window."""

import pytest

from demo import webcam


@pytest.fixture
def asked(monkeypatch):
    """Record the arguments passed to ``predict``."""
    found = []
    monkeypatch.setattr(
        webcam.predict, "main", lambda argv: found.append(webcam.predict.parse_arguments(argv))
    )
    return found


def test_its_arguments_become_those_of_predict(asked):
    webcam.main(["--config-file", "my.yaml", "MODEL.WEIGHT", "my.pth"])
    webcam.main(
        ["--confidence-threshold", "0.5", "--min-image-size", "800", "INPUT.MAX_SIZE_TEST", "900"]
        + ["MODEL.WEIGHT", "catalog://mine", "MODEL.DEVICE", "cpu"]
    )
    first, second = asked
    assert (first.input, first.show, first.output) == (["webcam:0"], True, None)
    assert (first.weights, first.config_file, first.score_key) == ("my.pth", "my.yaml", "score")
    assert first.threshold == 0.7
    assert first.opts == ["INPUT.MIN_SIZE_TEST", "224", "MODEL.WEIGHT", "my.pth"]
    assert (second.weights, second.config_file) == ("catalog://mine", None)
    assert second.threshold == 0.5
    assert second.opts[:4] == ["INPUT.MIN_SIZE_TEST", "800", "INPUT.MAX_SIZE_TEST", "900"]
    assert second.opts[6:] == ["MODEL.DEVICE", "cpu"]


@pytest.mark.parametrize(
    "settings", [[], ["MODEL.WEIGHT"], ["INPUT.MIN_SIZE_TEST", "MODEL.WEIGHT"]]
)
def test_missing_weights_are_reported(settings, asked, capsys):
    with pytest.raises(SystemExit, match="2"):
        webcam.main(settings)
    assert not asked
    assert "end the command with MODEL.WEIGHT path" in capsys.readouterr().err
