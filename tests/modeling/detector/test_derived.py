"""Settings determined by the body are derived if unset; others are unchanged."""

import pytest
import torch

from maskrcnn_benchmark.config import make_default_config
from maskrcnn_benchmark.modeling.detector import build_detection_model, check_model, derive_settings
from maskrcnn_benchmark.modeling.registry import BACKBONES
from tests.helpers.every_key import config_with
from tests.helpers.recorded_configs import FORK, UPSTREAM, recorded
from tests.helpers.shipped_configs import CONFIGS
from tests.helpers.thin_model import two_objects

BODY = "MODEL.BACKBONE.CONV_BODY"
MASKS = {"MODEL.MASK_ON": True, "MODEL.MASKIOU_ON": True}
# of the base YAML these are choices, not consequences
CHOSEN = ("POOLER_SAMPLING_RATIO", "TOP_N_TRAIN", "TOP_N_TEST", "MASK_ON", "DATASETS.TEST")


def leaves(node, prefix=""):
    for name, value in node.items():
        if hasattr(value, "items"):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def test_only_the_body_gives_the_settings_of_the_base_yaml():
    config = config_with(MASKS | {BODY: "R-50-FPN"})
    (line,) = derive_settings(config)
    base = make_default_config()
    base.merge_from_file(CONFIGS / "Base-Mask-RCNN-FPN.yaml")
    found = dict(leaves(config))
    compared = {k: v for k, v in leaves(base) if base.is_set(k) and not k.endswith(CHOSEN)}
    assert len(compared) > 12
    assert {key: found[key] for key in compared} == compared
    assert line.startswith(f"{BODY} is R-50-FPN, so MODEL.RPN.USE_FPN True, ")
    assert "DATALOADER.SIZE_DIVISIBILITY 32" in line
    assert check_model(config) == []
    assert derive_settings(config) == []


def test_a_body_with_fpn_alone_trains_and_predicts():
    thin = {
        BODY: "R-18-FPN",
        "MODEL.RESNETS.STEM_OUT_CHANNELS": 8,
        "MODEL.RESNETS.RES2_OUT_CHANNELS": 8,
        "MODEL.BACKBONE.OUT_CHANNELS": 8,
        "MODEL.ROI_BOX_HEAD.NUM_CLASSES": 3,
        "MODEL.ROI_BOX_HEAD.MLP_HEAD_DIM": 8,
        "MODEL.ROI_MASK_HEAD.CONV_LAYERS": (8,),
    }
    config = config_with(MASKS | thin)
    model = build_detection_model(config)  # which derives
    assert config.DATALOADER.SIZE_DIVISIBILITY == 32
    losses = model.train()(torch.randn(1, 3, 64, 64), [two_objects()])
    assert set(losses) > {"loss_box_reg", "loss_mask", "loss_maskiou"}
    with torch.no_grad():
        assert model.eval()(torch.randn(1, 3, 64, 64))[0].mode == "xyxy"


def test_derived_settings_follow_the_body_and_keep_explicit_values():
    config = config_with(MASKS | {BODY: "R-50-FPN", "MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION": 8})
    derive_settings(config)
    assert config.MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION == 8
    assert not config.is_set("MODEL.RPN.USE_FPN")
    config.merge_from_list([BODY, "R-50-C5"])
    derive_settings(config)
    assert config.MODEL.RPN.ANCHOR_STRIDE == (32,)
    assert config.MODEL.ROI_MASK_HEAD.POOLER_SCALES == (1 / 32,)
    assert config.DATALOADER.SIZE_DIVISIBILITY == 0
    assert check_model(config) == []
    config.merge_from_list([BODY, "R-50-C4"])
    derive_settings(config)
    wanted = config_with(MASKS | {BODY: "R-50-C4", "MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION": 8})
    wanted.MODEL.ROI_MASK_HEAD.RESOLUTION = 8  # of a pooled side of 8
    wanted.MODEL.BACKBONE.OUT_CHANNELS = 256  # which C4 does not read
    assert config == wanted


def test_explicit_body_settings_keep_their_widths():
    config = make_default_config()
    config.merge_from_file(CONFIGS / "Base-Mask-RCNN-FPN.yaml")
    for key, value in (("BACKBONE.OUT_CHANNELS", 1024), ("ROI_BOX_HEAD.POOLER_RESOLUTION", 14)):
        section, name = key.split(".")
        del config.MODEL[section][name]
        config.MODEL[section][name] = value  # the default, as if the file did not say it
        config.MODEL[section].__dict__["__set_names__"].discard(name)
        assert not config.is_set(f"MODEL.{key}")
    before = config.clone()
    assert derive_settings(config) == []
    assert config == before


def test_a_mask_side_follows_the_pooler_that_is_set():
    config = config_with(MASKS | {BODY: "R-50-FPN", "MODEL.ROI_MASK_HEAD.POOLER_RESOLUTION": 7})
    derive_settings(config)
    assert config.MODEL.ROI_MASK_HEAD.RESOLUTION == 14


def test_a_setting_that_contradicts_the_body_is_refused():
    config = config_with({BODY: "R-50-FPN", "MODEL.RPN.USE_FPN": False})
    with pytest.raises(ValueError, match="MODEL.RPN.USE_FPN must be True with .* R-50-FPN"):
        build_detection_model(config)


def test_defaults_and_published_models_keep_their_own():
    assert derive_settings(make_default_config()) == []
    published = make_default_config()
    published.merge_from_file(CONFIGS / "gn_baselines/e2e_mask_rcnn_R_50_FPN_Xconv1fc_1x_gn.yaml")
    published.as_defaults()
    before = published.clone()
    assert derive_settings(published) == []
    assert published == before


@pytest.mark.parametrize("frozen", [False, True])
def test_a_frozen_config_must_be_complete(frozen):
    config = config_with({BODY: "R-50-FPN"})
    if frozen:
        config.freeze()
        with pytest.raises(ValueError, match="USE_FPN True follows .* before cfg.freeze"):
            derive_settings(config)
    else:
        derive_settings(config)
        config.freeze()
        assert derive_settings(config) == []


RECORDED = [*FORK.values(), *UPSTREAM.values()]


def test_no_recorded_config_is_changed():
    known = 0
    for entry in RECORDED:
        config = recorded(entry)
        if not BACKBONES.has(config.MODEL.BACKBONE.CONV_BODY):
            continue
        known += 1
        before = config.clone()
        assert derive_settings(config) == []
        assert config == before
    assert known > 20
