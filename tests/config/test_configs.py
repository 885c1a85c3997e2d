"""Shipped YAMLs match the recorded overrides, and all recorded configs pass the checks."""

import itertools
import re

import pytest
import yaml

from maskrcnn_benchmark.config import cfg
from tests.helpers.recorded_configs import FORK, UPSTREAM, recorded
from tests.helpers.shipped_configs import BASES, CONFIGS, SHIPPED, yaml_tree
from tests.helpers.whole_check import check_whole

SCRATCH = "gn_baselines/scratch_e2e_ms_rcnn_R_50_FPN_3x_gn.yaml"


def upstream_name(name):
    return name.replace("scratch_e2e_ms_", "scratch_e2e_mask_")


def expected(name):
    if name in FORK:
        return recorded(FORK[name])
    config = recorded(UPSTREAM[upstream_name(name)])
    if name.startswith("gn_"):
        config.INPUT.MIN_SIZE_TRAIN = 800  # recorded as a tuple of one
    config.MODEL.MASKIOU_ON = name == SCRATCH
    return config


IMAGENET_RGB = {
    "INPUT.TO_BGR255": False,
    "INPUT.PIXEL_MEAN": [0.485, 0.456, 0.406],
    "INPUT.PIXEL_STD": [0.229, 0.224, 0.225],
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 64,
}
RESNET_18 = IMAGENET_RGB | {
    "MODEL.BACKBONE.CONV_BODY": "R-18-FPN",
    "MODEL.WEIGHT": "https://download.pytorch.org/models/resnet18-f37072fd.pth",
}
RESNET_34 = IMAGENET_RGB | {
    "MODEL.BACKBONE.CONV_BODY": "R-34-FPN",
    "MODEL.WEIGHT": "https://download.pytorch.org/models/resnet34-b627a593.pth",
}
SMALL_IMAGES = {
    f"INPUT.{side}_SIZE_{mode}": pixels
    for side, pixels in (("MIN", 600), ("MAX", 1000))
    for mode in ("TRAIN", "TEST")
}
PAPER = {
    "MODEL.ROI_HEADS.SOFT_NMS.ENABLED": True,
    "SOLVER.STEPS": (103501, 125680),
    "SOLVER.MAX_ITER": 133073,
}
DCN = {"MODEL.RESNETS.STAGE_WITH_DCN": (False, True, True, True)}
MASKIOU = {"MODEL.MASKIOU_ON": True}
MS_R_50, MS_R_101 = "e2e_ms_rcnn_R_50_FPN_1x.yaml", "e2e_ms_rcnn_R_101_FPN_1x.yaml"
OURS = {  # recorded file, and all changes in our file
    "e2e_ms_rcnn_R_18_FPN_1x.yaml": (MS_R_50, RESNET_18),
    "e2e_ms_rcnn_R_34_FPN_1x.yaml": (MS_R_50, RESNET_34),
    "e2e_ms_rcnn_R_50_C4_1x.yaml": ("e2e_mask_rcnn_R_50_C4_1x.yaml", MASKIOU),
    "e2e_ms_rcnn_X_101_32x8d_FPN_1x.yaml": ("e2e_mask_rcnn_X_101_32x8d_FPN_1x.yaml", MASKIOU),
    "paper/ms_rcnn_R_18_FPN_18e.yaml": (MS_R_50, RESNET_18 | SMALL_IMAGES | PAPER),
    "paper/ms_rcnn_R_50_FPN_18e.yaml": (MS_R_50, PAPER),
    "paper/ms_rcnn_R_101_FPN_18e.yaml": (MS_R_101, PAPER),
    "paper/ms_rcnn_R_101_DCN_FPN_18e.yaml": (MS_R_101, PAPER | DCN),
}


@pytest.mark.parametrize("name", OURS)
def test_our_yaml_differs_from_a_recorded_one_only_as_intended(name):
    recorded_name, changes = OURS[name]
    wanted = recorded(FORK[recorded_name])
    wanted.merge_from_list([part for pair in changes.items() for part in pair])
    config = cfg.clone()
    config.merge_from_file(CONFIGS / name)
    assert config == wanted


def test_bases_are_these_and_cannot_train():
    names = ("Keypoint-RCNN-FPN", "Mask-RCNN-FPN", "RCNN-FBNet", "RCNN-FPN")
    assert [f"Base-{name}.yaml" for name in names] == BASES
    for name in BASES:
        config = cfg.clone()
        config.merge_from_file(CONFIGS / name)
        assert not config.DATASETS.TRAIN
        assert not config.is_set("SOLVER")
        assert not config.is_set("MODEL.WEIGHT")


def repeated(base, own, prefix=""):
    """Return the keys that ``own`` sets to the same value as ``base``."""
    found = []
    for name, value in own.items():
        if isinstance(value, dict):
            found += repeated(base.get(name, {}), value, f"{prefix}{name}.")
        elif name in base and base[name] == value:
            found.append(prefix + name)
    return found


@pytest.mark.parametrize("name", [*SHIPPED, *BASES])
def test_yaml_holds_only_its_differences(name):
    own = yaml.safe_load((CONFIGS / name).read_text())
    if "_BASE_" in own:
        base = CONFIGS / name / ".." / own.pop("_BASE_")
        assert base.resolve().is_relative_to(CONFIGS)
        assert repeated(yaml_tree(base.resolve()), own) == []
    else:
        assert own["MODEL"].get("BACKBONE") is None or name in BASES  # the rest has a base


def test_every_config_of_upstream_is_shipped():
    assert [n for n in UPSTREAM if n not in SHIPPED] == []


OF_OTHERS = [n for n in SHIPPED if n in FORK or upstream_name(n) in UPSTREAM]


@pytest.mark.parametrize("name", OF_OTHERS)
def test_yaml_equals_the_recorded_overrides(name):
    config = cfg.clone()
    config.merge_from_file(CONFIGS / name)
    assert config == expected(name)


@pytest.mark.parametrize("name", SHIPPED)
def test_yaml_passes_the_checks(name):
    config = cfg.clone()
    config.merge_from_file(CONFIGS / name)
    if config.MODEL.BACKBONE.CONV_BODY.startswith("timm:"):
        pytest.importorskip("timm")
    check_whole(config)


@pytest.mark.parametrize("name", SHIPPED)
def test_yaml_header_states_expected_results(name):
    text = (CONFIGS / name).read_text()
    lines = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())
    head = "\n".join(line[1:].strip() for line in lines).replace("\\\n", "").replace("\n", " ")
    notes = dict(re.findall(r"(Expected|Hardware|Command): +(.*?)(?= [A-Z][A-Za-z -]+: |$)", head))
    # a value and its source, or a note that it is unknown
    expected = notes["Expected"]
    whose = r"\((maskrcnn-benchmark's|the original's|the paper's|detectron2's|measured)"
    assert re.search(rf"AP \d+\.\d.*{whose}|AP not known", expected), expected
    time = r"\d (h|minutes)\b|(training|testing) time not known"
    assert re.search(rf"\d (GPUs?|V100|CPU cores)\b.*; .*({time})", notes["Hardware"]), notes
    assert f"--config-file configs/{name}" in notes["Command"] or name.startswith("demo/")


@pytest.mark.parametrize("name", sorted(FORK))
def test_every_config_of_the_original_passes_the_checks(name):
    check_whole(recorded(FORK[name]))


@pytest.mark.parametrize("name", sorted(n for n in UPSTREAM if n.startswith("gn_baselines/")))
def test_upstreams_group_norm_configs_pass_the_checks(name):
    check_whole(recorded(UPSTREAM[name]))
