"""The shipped YAMLs against the recorded overrides, and all recorded ones against the checks."""

import itertools
import re
from pathlib import Path

import pytest

from maskrcnn_benchmark.config import cfg, check_config
from tests.helpers.recorded_configs import FORK, UPSTREAM, recorded

CONFIGS = Path(__file__).parents[2] / "configs"
SHIPPED = sorted(path.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob("*.yaml"))
SCRATCH = "gn_baselines/scratch_e2e_ms_rcnn_R_50_FPN_3x_gn.yaml"


def expected(name):
    if name in FORK:
        return recorded(FORK[name])
    config = recorded(UPSTREAM[name.replace("scratch_e2e_ms_", "scratch_e2e_mask_")])
    if name.startswith("gn_"):
        config.INPUT.MIN_SIZE_TRAIN = 800  # recorded as a tuple of one
    config.MODEL.MASKIOU_ON = name == SCRATCH
    return config


@pytest.mark.parametrize("name", [n for n in SHIPPED if n in FORK or n.startswith(("gn_", "dcn/"))])
def test_yaml_equals_the_recorded_overrides(name):
    config = cfg.clone()
    config.merge_from_file(CONFIGS / name)
    assert config == expected(name)


@pytest.mark.parametrize("name", SHIPPED)
def test_yaml_passes_the_checks(name):
    config = cfg.clone()
    config.merge_from_file(CONFIGS / name)
    check_config(config)


@pytest.mark.parametrize("name", SHIPPED)
def test_yaml_begins_with_what_to_expect(name):
    text = (CONFIGS / name).read_text()
    lines = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())
    head = "\n".join(line[1:].strip() for line in lines).replace("\\\n", "").replace("\n", " ")
    notes = dict(re.findall(r"(Expected|Hardware|Command): +(.*?)(?= [A-Z][A-Za-z -]+: |$)", head))
    # a figure and whose it is, or that it is not known
    expected = notes["Expected"]
    whose = r"\((maskrcnn-benchmark's|the original's|the paper's|detectron2's|measured)"
    assert re.search(rf"AP \d+\.\d.*{whose}|AP not known", expected), expected
    time = r"\d (h|minutes)\b|(training|testing) time not known"
    assert re.search(rf"\d (GPUs?|V100|CPU cores)\b.*; .*({time})", notes["Hardware"]), notes
    assert f"--config-file configs/{name}" in notes["Command"] or name.startswith("demo/")


@pytest.mark.parametrize("name", sorted(FORK))
def test_every_config_of_the_original_passes_the_checks(name):
    check_config(recorded(FORK[name]))


@pytest.mark.parametrize("name", sorted(n for n in UPSTREAM if n.startswith("gn_baselines/")))
def test_upstreams_group_norm_configs_pass_the_checks(name):
    check_config(recorded(UPSTREAM[name]))
