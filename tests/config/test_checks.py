"""Each contradiction is refused with a message that names the fix."""

from pathlib import Path

import pytest

from maskrcnn_benchmark.config import cfg
from tests.helpers.whole_check import check_whole

MS_RCNN = Path(__file__).parents[2] / "configs/e2e_ms_rcnn_R_50_FPN_1x.yaml"


def ms_rcnn(*options):
    config = cfg.clone()
    config.merge_from_file(MS_RCNN)
    config.merge_from_list(options)
    return config


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["MODEL.MASK_ON", False], "set MODEL.MASK_ON True"),
        (["MODEL.MASK_ON", False, "TEST.MASK_QUALITY", True], "TEST.MASK_QUALITY needs masks: set"),
        (["MODEL.RPN_ONLY", True], "RPN_ONLY"),
        (
            ["MODEL.RETINANET_ON", True, "MODEL.KEYPOINT_ON", True],
            "MODEL.RETINANET_ON has no keypoint head",
        ),
        (
            ["INPUT.COPY_PASTE", 0.5, "MODEL.KEYPOINT_ON", True],
            "INPUT.COPY_PASTE pastes objects without their keypoints: set it to 0",
        ),
        (["MODEL.DEVICE", "gpu"], "cuda, cuda:N or cpu"),
        (["MODEL.META_ARCHITECTURE", "RetinaNet"], "GeneralizedRCNN"),
        (
            ["MODEL.BACKBONE.CONV_BODY", "R-50-FPNN"],
            "is .R-50-FPNN., which is not registered; known: R-50-FPN, ",
        ),
        (["MODEL.BACKBONE.CONV_BODY", "R-50-C4"], "MODEL.RPN.USE_FPN must be False"),
        (["MODEL.BACKBONE.FREEZE_CONV_BODY_AT", 6], "must be 0 to 5"),
        (["MODEL.RESNETS.TRANS_FUNC", "Bottleneck"], "BottleneckWithGN"),
        (["MODEL.RESNETS.STEM_FUNC", "Stem"], "StemWithGN"),
        (["MODEL.GROUP_NORM.DIM_PER_GP", 16], "the other to -1"),
        (["MODEL.RPN.USE_FPN", False], "MODEL.RPN.USE_FPN must be True"),
        (["MODEL.ROI_HEADS.USE_FPN", False], "MODEL.ROI_HEADS.USE_FPN must be True"),
        (["DATALOADER.SIZE_DIVISIBILITY", 0], "multiple of 32"),
        (["DATALOADER.SIZE_DIVISIBILITY", 48], "multiple of 32"),
        (["MODEL.ROI_BOX_HEAD.POOLER_SCALES", (0.5, 0.25)], "ROI_BOX_HEAD.POOLER_SCALES"),
        (["MODEL.ROI_MASK_HEAD.POOLER_SCALES", ()], "ROI_MASK_HEAD.POOLER_SCALES"),
        (["MODEL.RPN.ANCHOR_STRIDE", (4, 8, 16, 32)], "4 levels"),
        (["MODEL.RPN.ANCHOR_SIZES", (32, 64)], "ANCHOR_SIZES 2"),
        (["MODEL.RPN.RPN_HEAD", "X"], "SingleConvRPNHead"),
        (["MODEL.PIXEL_OFFSET", 0.5], "1 .inclusive boxes. or 0"),
        (["MODEL.RPN.ANCHOR_RULE", "X"], "legacy, centered, torchvision"),
        (["MODEL.RPN.ANCHOR_RULE", "centered"], "needs MODEL.PIXEL_OFFSET 0"),
        (["MODEL.RPN.BG_IOU_THRESHOLD", 0.8], "ordered"),
        (["MODEL.ROI_HEADS.POSITIVE_FRACTION", 2], "between 0 and 1"),
        (["MODEL.ROI_HEADS.BBOX_REG_WEIGHTS", (1.0, 1.0)], "four numbers"),
        (["MODEL.ROI_BOX_HEAD.FEATURE_EXTRACTOR", "X"], "FPN2MLPFeatureExtractor"),
        (["MODEL.ROI_BOX_HEAD.PREDICTOR", "FastRCNNPredictor"], "FPNPredictor"),
        (["MODEL.ROI_BOX_HEAD.NUM_CLASSES", 1], "at least 2"),
        (["MODEL.ROI_MASK_HEAD.FEATURE_EXTRACTOR", "X"], "MaskRCNNFPNFeatureExtractor"),
        (["MODEL.ROI_MASK_HEAD.SHARE_BOX_FEATURE_EXTRACTOR", True], "must be False with FPN"),
        (["MODEL.ROI_MASK_HEAD.RESOLUTION", 27], "predicts masks of size 28"),
        (["INPUT.MIN_SIZE_TRAIN", (800, 2000)], "INPUT.MAX_SIZE_TRAIN, 1333"),
        (["INPUT.MIN_SIZE_TRAIN", ()], "INPUT.MIN_SIZE_TRAIN"),
        (["INPUT.MIN_SIZE_TEST", 0], "INPUT.MIN_SIZE_TEST"),
        (["INPUT.PIXEL_STD", [1.0, 0.0, 1.0]], "nonzero std"),
        (["INPUT.HORIZONTAL_FLIP_PROB_TRAIN", 1.5], "between 0 and 1"),
        (["DATASETS.CUSTOM.a.ANN_FILE", "x"], "DATASETS.CUSTOM.a needs"),
        (["DATASETS.TRAIN", (1,)], "data set names"),
        (["SOLVER.IMS_PER_BATCH", 0], "SOLVER.IMS_PER_BATCH is 0"),
        (["DATALOADER.NUM_WORKERS", -1], "NUM_WORKERS"),
    ],
)
def test_contradictions_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        check_whole(ms_rcnn(*options))


def test_all_problems_are_reported_at_once():
    with pytest.raises(ValueError, match=r"(?s)MASK_ON.*BASE_LR"):
        check_whole(ms_rcnn("MODEL.MASK_ON", False, "SOLVER.BASE_LR", 0))


def test_the_masks_of_a_c4_model_follow_its_pooler():
    config = cfg.clone()
    config.merge_from_list(["MODEL.MASK_ON", True, "MODEL.MASKIOU_ON", True])
    check_whole(config)
    config.MODEL.ROI_MASK_HEAD.RESOLUTION = 28
    with pytest.raises(ValueError, match=r"ROI_BOX_HEAD.POOLER_RESOLUTION 14.*size 14"):
        check_whole(config)
    config.MODEL.RESNETS.RES5_DILATION = 2  # conv5 keeps the side then
    check_whole(config)
    config.MODEL.RESNETS.RES5_DILATION = 1
    config.MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION = 7
    config.MODEL.ROI_MASK_HEAD.RESOLUTION = 8
    with pytest.raises(ValueError, match="so on C4 it must be even"):
        check_whole(config)
    config.MODEL.MASKIOU_ON = False
    check_whole(config)
