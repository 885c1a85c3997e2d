import torch

from maskrcnn_benchmark.utils.collect_env import collect_env_info


def test_names_the_versions_a_bug_report_needs():
    rows = dict(line.split(None, 1) for line in collect_env_info().splitlines())
    assert torch.__version__.startswith(rows["torch"])
    for name in ("python", "torchvision", "numpy", "pycocotools", "opencv-python", "extension"):
        assert rows[name]
