"""The recipes of configs/modern describe the models that they name."""

import pytest
import torch
from torchvision.models.detection import maskrcnn_resnet50_fpn_v2

from maskrcnn_benchmark.checkpoint.convert import Options, convert_detector
from maskrcnn_benchmark.config import make_default_config
from tests.checkpoint.convert.test_modern_naming import new_baseline
from tests.config.test_defaults import leaves
from tests.helpers.shipped_configs import CONFIGS
from tests.helpers.whole_check import check_whole


def recipe(name):
    cfg = make_default_config()
    cfg.merge_from_file(CONFIGS / "modern" / name)
    check_whole(cfg)
    return cfg


def converted(conversion):
    cfg = make_default_config()
    cfg.merge_from_other_cfg(conversion.settings)
    return cfg


def differences(first, second):
    values = dict(leaves(second))
    return {k for k, value in leaves(first) if value != values[k] and not k.startswith("DATASETS")}


def test_mask_scores_are_added_to_the_converted_model():
    with torch.device("meta"):
        state = maskrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None).state_dict()
    theirs = converted(convert_detector(state))
    ours = recipe("ms_rcnn_on_maskrcnn_resnet50_fpn_v2.yaml")
    assert differences(ours, theirs) == {
        *("MODEL.WEIGHT", "MODEL.MASKIOU_ON", "SOLVER.TRAIN_ONLY"),
    }
    assert ours.DATASETS.TEST == theirs.DATASETS.TEST == ("coco_2017_val",)


@pytest.mark.parametrize("depth", [50, 101])
def test_the_recipe_from_scratch_trains_the_model_of_the_new_baselines(depth):
    theirs = converted(convert_detector(new_baseline(depth)[0], Options("caffe")))
    ours = recipe(f"ms_rcnn_R_{depth}_FPN_100ep_LSJ.yaml")
    norms = {f"MODEL.{part}.NORM" for part in ("FPN", "RESNETS", "ROI_BOX_HEAD", "ROI_MASK_HEAD")}
    assert all(value == "SyncBN" for key, value in leaves(ours) if key in norms)
    sizes = {
        *("MODEL.BACKBONE.OUT_CHANNELS", "MODEL.RESNETS.STEM_OUT_CHANNELS"),
        *("MODEL.RESNETS.RES2_OUT_CHANNELS", "MODEL.RESNETS.WIDTH_PER_GROUP"),
        *("MODEL.ROI_BOX_HEAD.NUM_CLASSES", "MODEL.ROI_BOX_HEAD.MLP_HEAD_DIM"),
        *("MODEL.ROI_BOX_HEAD.CONV_HEAD_DIM", "MODEL.ROI_MASK_HEAD.CONV_LAYERS"),
    }
    training = {"MODEL.MASKIOU_ON", "MODEL.BACKBONE.FREEZE_CONV_BODY_AT", "DTYPE"}
    other = differences(ours, theirs) - norms - sizes - training
    start = ("SOLVER.", "INPUT.LARGE_SCALE_JITTER", "DATALOADER.ASPECT", "TEST.")
    assert {key for key in other if not key.startswith(start)} == set()


def test_the_longer_recipe_is_four_times_as_long():
    short, long = (recipe(f"ms_rcnn_R_50_FPN_{epochs}ep_LSJ.yaml") for epochs in (100, 400))
    assert differences(long, short) == {"SOLVER.MAX_ITER", "SOLVER.STEPS"}
    assert long.SOLVER.MAX_ITER == 4 * short.SOLVER.MAX_ITER
    for four, one in zip(long.SOLVER.STEPS, short.SOLVER.STEPS, strict=True):
        assert four == 4 * one
    deep = recipe("ms_rcnn_R_101_FPN_400ep_LSJ.yaml")
    assert differences(deep, long) == {"MODEL.BACKBONE.CONV_BODY"}
