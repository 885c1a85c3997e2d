"""Defaults match the recorded ones, and every key has a comment."""

import re
from pathlib import Path

import pytest
import yaml

from maskrcnn_benchmark.config import CfgNode, cfg
from tests.helpers.vectors import REFERENCE

ROOT = Path(__file__).parents[2]


def leaves(node, prefix=""):
    for name, value in node.items():
        if isinstance(value, CfgNode):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


FORK = yaml.safe_load((REFERENCE / "config_defaults.yaml").read_text())
UPSTREAM = yaml.safe_load((REFERENCE / "config_defaults_upstream.yaml").read_text())
DEFAULTS = dict(leaves(cfg))


@pytest.mark.parametrize("key", sorted(FORK))
def test_default_is_the_recorded_one(key):
    value = DEFAULTS[key]
    if key == "PATHS_CATALOG":
        assert Path(value) == ROOT / "maskrcnn_benchmark/config/paths_catalog.py"
        return
    assert (list(value) if isinstance(value, tuple) else value) == FORK[key]


def test_types_are_the_recorded_ones():
    lines = (REFERENCE / "config_defaults.yaml").read_text().splitlines()
    for line in lines:
        key, kind = re.match(r'"([A-Z0-9_.]+)": .*# type: (\w+)$', line).groups()
        assert type(DEFAULTS[key]).__name__ == kind, key


def test_keys_beyond_the_originals_have_upstreams_defaults():
    ours = {"SOLVER.TRAIN_ONLY", "SOLVER.REFERENCE_BATCH"}
    ours |= {"DATALOADER.FILTER_EMPTY", "SEED", "MODEL.TIMM.FREEZE_BN"}
    ours |= {"TEST.COCO_EVALUATOR", "TEST.MASK_QUALITY"}
    # conventions of converted models; the defaults reproduce the original
    ours |= {"MODEL.PIXEL_OFFSET", "MODEL.RPN.ANCHOR_RULE", "MODEL.ROI_HEADS.MIN_SIZE"}
    ours |= {"MODEL.ROI_MASK_HEAD.PASTE_ALIGNED", "INPUT.SIZE_ROUNDING"}
    ours |= {"MODEL.BOX_CODER_CLIP_BELOW", "MODEL.BACKBONE.ACTIVATION_CHECKPOINTING"}
    ours |= {f"MODEL.ROI_{head}_HEAD.POOLER_ALIGNED" for head in ("BOX", "MASK", "KEYPOINT")}
    ours |= {"MODEL.ROI_MASK_HEAD.PASTE_ALIGNED", "INPUT.SIZE_ROUNDING"}
    ours |= {key for key in DEFAULTS if key.startswith("MODEL.ROI_HEADS.SOFT_NMS.")}
    ours |= {f"INPUT.LARGE_SCALE_JITTER.{name}" for name in ("ENABLED", "SIZE", "SCALES")}
    ours |= {"INPUT.COPY_PASTE", "DATALOADER.REPEAT_THRESHOLD"}
    ours |= {f"SOLVER.{key}" for key in ("ACCUMULATE", "EMA_DECAY", "LR_SCHEDULER_NAME")}
    ours |= {"SOLVER.ALLREDUCE_DTYPE"}
    ours |= {f"SOLVER.{key}" for key in ("BEST_METRIC", "CLIP_GRAD_NORM", "CLIP_GRAD_VALUE")}
    parts = ("RESNETS", "FPN", "ROI_BOX_HEAD", "ROI_MASK_HEAD")
    ours |= {f"MODEL.{part}.NORM" for part in parts} | {"MODEL.RPN.NUM_CONVS"}
    ours |= {key for key in DEFAULTS if key.startswith("MODEL.ROI_BOX_CASCADE_HEAD.")}
    ours |= {"MODEL.ROI_BOX_HEAD.NAME"}
    # constants in upstream's code
    ours |= {"MODEL.ROI_KEYPOINT_HEAD.MIN_KEYPOINTS_PER_IMAGE", "TEST.KEYPOINT_OKS_SIGMAS"}
    added = set(DEFAULTS) - set(FORK)
    assert {key for key in UPSTREAM if key.startswith("MODEL.RETINANET")} <= added
    assert ours <= added
    for key in added - ours:
        # PyYAML reads 1e-05 as text
        assert DEFAULTS[key] == type(DEFAULTS[key])(UPSTREAM[key]), key


def test_every_key_has_a_comment():
    lines = (ROOT / "maskrcnn_benchmark/config/defaults.py").read_text().splitlines()
    for above, line in zip(lines, lines[1:], strict=False):
        if re.match(r"_C\.[A-Z0-9_.]+ = (?!CfgNode\(\))", line):
            assert above.startswith("#"), line
