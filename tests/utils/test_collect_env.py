import importlib.metadata

import pytest
import torch

from maskrcnn_benchmark.utils.collect_env import collect_env_info


def test_names_the_versions_a_bug_report_needs():
    rows = dict(line.split(None, 1) for line in collect_env_info().splitlines())
    assert torch.__version__.startswith(rows["torch"])
    for name in ("python", "torchvision", "numpy", "pycocotools", "opencv-python", "extension"):
        assert rows[name]


@pytest.mark.parametrize(
    ("installed", "said"),
    [
        ({}, "not installed"),
        ({"opencv-python": "4.9"}, "4.9"),
        ({"opencv-python-headless": "5.0"}, "5.0"),
        (
            {"opencv-python": "4.9", "opencv-python-headless": "5.0"},
            "4.9 and 5.0, headless: only one of the two should be installed, see INSTALL.md",
        ),
    ],
)
def test_two_copies_of_opencv_are_reported(installed, said, monkeypatch):
    def version(name):
        if name not in installed:
            raise importlib.metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
    (line,) = (row for row in collect_env_info().splitlines() if row.startswith("opencv-python"))
    assert line.split(None, 1)[1] == said
