"""Every key of MODEL has the effect that its comment describes."""

import pytest

from tests.helpers import model_observers as see
from tests.helpers.every_key import Case, all_keys, assert_complete

THIN = {
    "MODEL.RESNETS.STEM_OUT_CHANNELS": 8,
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 8,
    "MODEL.RESNETS.WIDTH_PER_GROUP": 2,
    "MODEL.GROUP_NORM.NUM_GROUPS": 2,
    "MODEL.BACKBONE.OUT_CHANNELS": 8,
    "MODEL.ROI_BOX_HEAD.NUM_CLASSES": 3,
    "MODEL.ROI_BOX_HEAD.MLP_HEAD_DIM": 8,
    "MODEL.ROI_BOX_HEAD.CONV_HEAD_DIM": 8,
    "MODEL.ROI_BOX_HEAD.NUM_STACKED_CONVS": 1,
    "MODEL.ROI_MASK_HEAD.CONV_LAYERS": (8,),
    "MODEL.ROI_KEYPOINT_HEAD.CONV_LAYERS": (8,),
}
BOX, MASK, RPN, RESNETS = "MODEL.ROI_BOX_HEAD", "MODEL.ROI_MASK_HEAD", "MODEL.RPN", "MODEL.RESNETS"
HEADS, SOFT = "MODEL.ROI_HEADS", "MODEL.ROI_HEADS.SOFT_NMS"
KEYPOINT = "MODEL.ROI_KEYPOINT_HEAD"
POINTS = {
    "MODEL.KEYPOINT_ON": True,
    f"{KEYPOINT}.RESOLUTION": 56,
    f"{KEYPOINT}.SHARE_BOX_FEATURE_EXTRACTOR": False,
}
ONE_BIN_OF_POINTS = {"MODEL.KEYPOINT_ON": True, f"{KEYPOINT}.POOLER_RESOLUTION": 1}
CONV5 = "ResNet50Conv5ROIFeatureExtractor"
MASKS = {"MODEL.MASK_ON": True, "MODEL.MASKIOU_ON": True}
STRIDES = (4, 8, 16, 32, 64)
SCALES = tuple(1 / stride for stride in STRIDES[:4])
FPN = MASKS | {
    "MODEL.BACKBONE.CONV_BODY": "R-50-FPN",
    f"{RPN}.ANCHOR_STRIDE": STRIDES,
    f"{RPN}.USE_FPN": True,
    f"{HEADS}.USE_FPN": True,
    f"{BOX}.FEATURE_EXTRACTOR": "FPN2MLPFeatureExtractor",
    f"{BOX}.PREDICTOR": "FPNPredictor",
    f"{BOX}.POOLER_RESOLUTION": 2,
    f"{BOX}.POOLER_SCALES": SCALES,
    f"{MASK}.FEATURE_EXTRACTOR": "MaskRCNNFPNFeatureExtractor",
    f"{MASK}.POOLER_RESOLUTION": 2,
    f"{MASK}.POOLER_SCALES": SCALES,
    f"{MASK}.RESOLUTION": 4,
    f"{MASK}.SHARE_BOX_FEATURE_EXTRACTOR": False,
}
XCONV = FPN | {f"{BOX}.FEATURE_EXTRACTOR": "FPNXconv1fcFeatureExtractor"}
CASCADE = "MODEL.ROI_BOX_CASCADE_HEAD"
AGNOSTIC = {f"{BOX}.PREDICTOR": "ClassAgnosticPredictor"}
STAGES = FPN | AGNOSTIC | {f"{BOX}.NAME": "CascadeBoxHead"}
DCN = {f"{RESNETS}.STAGE_WITH_DCN": (False, False, True, False)}
GN = {f"{RESNETS}.STEM_FUNC": "StemWithGN"}
ONE_ANCHOR = {f"{RPN}.ANCHOR_SIZES": (32,), f"{RPN}.ASPECT_RATIOS": (1.0,)}
ONE_BIN = MASKS | {
    f"{BOX}.POOLER_RESOLUTION": 1,
    f"{MASK}.POOLER_RESOLUTION": 1,
    f"{MASK}.SHARE_BOX_FEATURE_EXTRACTOR": False,
}
BN = "TrainableBatchNorm2d"
SYNC_BN = f"{BN} of all ranks"
RPN_OUTPUTS = ["cls_logits 15", "bbox_pred 60"]
SOFT_ON, GAUSSIAN = {f"{SOFT}.ENABLED": True}, {f"{SOFT}.METHOD": "gaussian"}
RPN_LOSSES = ["objectness", "rpn_box_reg"]
BOX_LOSSES = ["box_reg", "classifier", *RPN_LOSSES]
C4_MAPS, C5_MAPS = [(32, 4)], [(64, 2)]
FPN_MAPS = [(8, 16), (8, 8), (8, 4), (8, 2), (8, 1)]
ANCHORS = [[-8.0, -8.0, 23.0, 23.0], [8.0, -8.0, 39.0, 23.0]]
CENTERED = [[-16.0, -16.0, 16.0, 16.0], [0.0, -16.0, 32.0, 16.0]]
TALL_AND_WIDE = [[-24.0, 0.0, 39.0, 15.0], [-8.0, 0.0, 55.0, 15.0]]

WHOLE = [
    Case("MODEL.RPN_ONLY", True, see.losses, BOX_LOSSES, RPN_LOSSES),
    Case("MODEL.MASK_ON", True, see.losses, BOX_LOSSES, sorted([*BOX_LOSSES, "mask"])),
    Case(
        *("MODEL.MASKIOU_ON", True, see.losses),
        *(sorted([*BOX_LOSSES, "mask"]), sorted([*BOX_LOSSES, "mask", "maskiou"])),
        given={"MODEL.MASK_ON": True},
    ),
    Case(
        *("MODEL.KEYPOINT_ON", True, see.losses, BOX_LOSSES, sorted([*BOX_LOSSES, "kp"])),
        given={key: value for key, value in POINTS.items() if key != "MODEL.KEYPOINT_ON"},
    ),
    Case("MODEL.MASKIOU_LOSS_WEIGHT", 2.5, see.share_of_maskiou, 1.0, 2.5, given=MASKS),
    Case("MODEL.DEVICE", "gpu", see.refused, [], ["MODEL.DEVICE"]),
    Case("MODEL.META_ARCHITECTURE", "X", see.refused, [], ["MODEL.META_ARCHITECTURE"]),
    Case(
        "MODEL.CLS_AGNOSTIC_BBOX_REG", True, see.outputs, [3, 12, 3, 3], [3, 8, 3, 3], given=MASKS
    ),
    Case("MODEL.PIXEL_OFFSET", 0.0, see.conventions, [1.0, 1.0], [0.0, 0.0]),
    Case("MODEL.BOX_CODER_CLIP_BELOW", True, see.shrunk_and_grown, [0.9, 62500], [16, 62500]),
]
BODY = [
    Case("MODEL.BACKBONE.CONV_BODY", "R-50-C5", see.maps, C4_MAPS, C5_MAPS),
    Case(
        *("MODEL.BACKBONE.FREEZE_CONV_BODY_AT", 1, see.frozen, ["stem", "layer1"], ["stem"]),
    ),
    Case(
        *("MODEL.BACKBONE.ACTIVATION_CHECKPOINTING", True, see.keeps_activations, True, False),
    ),
    Case(
        *("MODEL.BACKBONE.OUT_CHANNELS", 16, see.maps, FPN_MAPS),
        [(16, side) for _, side in FPN_MAPS],
        given=FPN,
    ),
    Case(
        *(f"{RESNETS}.NUM_GROUPS", 2, see.block),
        *([(4, 8, 2), (4, 4, 1), (16, 4, 1)], [(8, 8, 2), (8, 4, 1), (16, 8, 1)]),
    ),
    Case(
        *(f"{RESNETS}.WIDTH_PER_GROUP", 3, see.block),
        *([(4, 8, 2), (4, 4, 1), (16, 4, 1)], [(6, 8, 2), (6, 6, 1), (16, 6, 1)]),
    ),
    Case(
        *(f"{RESNETS}.STRIDE_IN_1X1", False, see.block),
        *([(4, 8, 2), (4, 4, 1), (16, 4, 1)], [(4, 8, 1), (4, 4, 2), (16, 4, 1)]),
    ),
    Case(
        *(f"{RESNETS}.TRANS_FUNC", "BottleneckWithGN", see.norms),
        *(["FrozenBatchNorm2d"] * 2 + ["none"], ["FrozenBatchNorm2d", "GroupNorm", "none"]),
    ),
    Case(
        *(f"{RESNETS}.STEM_FUNC", "StemWithGN", see.norms),
        *(["FrozenBatchNorm2d"] * 2 + ["none"], ["GroupNorm", "FrozenBatchNorm2d", "none"]),
    ),
    Case(f"{RESNETS}.NORM", "BN", see.body_norms, ["FrozenBatchNorm2d"], [BN]),
    Case(f"{RESNETS}.NORM", "GN", see.body_norms, ["FrozenBatchNorm2d"], ["GroupNorm"]),
    Case(f"{RESNETS}.NORM", "X", see.refused, [], ["MODEL.RESNETS.NORM"]),
    Case(f"{RESNETS}.RES5_DILATION", 3, see.conv5_side, (7, 3), (14, 7), given=MASKS),
    Case(
        *(f"{RESNETS}.RES5_DILATION", 2, see.maps, C5_MAPS, [(64, 4)]),
        given={"MODEL.BACKBONE.CONV_BODY": "R-50-C5"},
    ),
    Case(f"{RESNETS}.RES2_OUT_CHANNELS", 16, see.maps, C4_MAPS, [(64, 4)]),
    Case(f"{RESNETS}.STEM_OUT_CHANNELS", 12, see.stem_channels, 8, 12),
    Case(
        *(f"{RESNETS}.STAGE_WITH_DCN", (False, True, False, False)),
        *(see.deformable, [0, 0, 18], [0, 18, 0]),
        given=DCN,
    ),
    Case(
        *(f"{RESNETS}.WITH_MODULATED_DCN", True, see.deformable, [0, 0, 18], [0, 0, 27]),
        given=DCN,
    ),
    Case(
        *(f"{RESNETS}.DEFORMABLE_GROUPS", 2, see.deformable, [0, 0, 18], [0, 0, 36]),
        given=DCN,
    ),
    Case(
        *("MODEL.FPN.USE_GN", True, see.norms),
        *(["FrozenBatchNorm2d"] * 2 + ["none"], ["FrozenBatchNorm2d"] * 2 + ["GroupNorm"]),
        given=FPN,
    ),
    Case("MODEL.FPN.NORM", "SyncBN", see.pyramid_norms, [], [SYNC_BN], given=FPN),
    Case(
        *("MODEL.FPN.NORM", "BN", see.refused, [], ["MODEL.FPN.NORM"]),
        given=FPN | {"MODEL.FPN.USE_GN": True, "DATALOADER.SIZE_DIVISIBILITY": 32},
    ),
    Case(
        *("MODEL.TIMM.FREEZE_BN", False, see.trained_statistics, False, True),
        given={"MODEL.BACKBONE.CONV_BODY": "timm:resnet18d"},
    ),
    Case("MODEL.FPN.USE_RELU", True, see.pyramid_is_positive, False, True, given=FPN),
    Case(
        *("MODEL.GROUP_NORM.DIM_PER_GP", 2, see.groups_of_the_stem, (2, 1e-5), (4, 1e-5)),
        given=GN | {"MODEL.GROUP_NORM.DIM_PER_GP": 4, "MODEL.GROUP_NORM.NUM_GROUPS": -1},
    ),
    Case(
        *("MODEL.GROUP_NORM.NUM_GROUPS", 4, see.groups_of_the_stem, (2, 1e-5), (4, 1e-5)),
        given=GN,
    ),
    Case(
        *("MODEL.GROUP_NORM.EPSILON", 1e-3, see.groups_of_the_stem, (2, 1e-5), (2, 1e-3)),
        given=GN,
    ),
]
PROPOSALS = [
    Case(f"{RPN}.USE_FPN", True, see.refused, [], [f"{RPN}.USE_FPN", f"{RPN}.ANCHOR_STRIDE"]),
    Case(
        *(f"{RPN}.RPN_HEAD", "MultiConvRPNHead", see.rpn_convs),
        *(["conv 8", *RPN_OUTPUTS], ["conv 8", "conv2 8", *RPN_OUTPUTS]),
    ),
    Case(
        *(f"{RPN}.NUM_CONVS", 3, see.rpn_convs),
        ["conv 8", "conv2 8", *RPN_OUTPUTS],
        ["conv 8", "conv2 8", "conv3 8", *RPN_OUTPUTS],
        given={f"{RPN}.RPN_HEAD": "MultiConvRPNHead"},
    ),
    Case(
        *(f"{RPN}.NUM_CONVS", 0, see.refused, [], [f"{RPN}.NUM_CONVS"]),
        given={f"{RPN}.RPN_HEAD": "MultiConvRPNHead"},
    ),
    Case(f"{RPN}.RPN_HEAD", "X", see.refused, [], [f"{RPN}.RPN_HEAD"]),
    Case(
        *(f"{RPN}.ANCHOR_SIZES", (64,), see.anchors, ANCHORS),
        [[-24.0, -24.0, 39.0, 39.0], [-8.0, -24.0, 55.0, 39.0]],
        given=ONE_ANCHOR,
    ),
    Case(
        *(f"{RPN}.ANCHOR_STRIDE", (8,), see.anchors, ANCHORS),
        [[-12.0, -12.0, 19.0, 19.0], [-4.0, -12.0, 27.0, 19.0]],
        given=ONE_ANCHOR,
    ),
    Case(f"{RPN}.ASPECT_RATIOS", (0.25,), see.anchors, ANCHORS, TALL_AND_WIDE, given=ONE_ANCHOR),
    Case(f"{RPN}.ANCHOR_RULE", "centered", see.anchors, ANCHORS, CENTERED, given=ONE_ANCHOR),
    Case(f"{RPN}.STRADDLE_THRESH", 8, see.visible_anchors, 0, 4, given=ONE_ANCHOR),
    Case(f"{RPN}.FG_IOU_THRESHOLD", 0.5, see.rpn_matches, [-1, -2, -2, 0, 0], [-1, -2, 0, 0, 0]),
    Case(f"{RPN}.BG_IOU_THRESHOLD", 0.4, see.rpn_matches, [-1, -2, -2, 0, 0], [-1, -1, -2, 0, 0]),
    Case(f"{RPN}.BATCH_SIZE_PER_IMAGE", 64, see.rpn_samples, (128, 128), (32, 32)),
    Case(f"{RPN}.POSITIVE_FRACTION", 0.25, see.rpn_samples, (128, 128), (64, 192)),
    Case(f"{RPN}.PRE_NMS_TOP_N_TRAIN", 5, see.train_proposals, [12, 12], [5, 5]),
    Case(f"{RPN}.PRE_NMS_TOP_N_TEST", 5, see.test_proposals, [12, 12], [5, 5]),
    Case(f"{RPN}.POST_NMS_TOP_N_TRAIN", 4, see.train_proposals, [12, 12], [4, 4]),
    Case(f"{RPN}.POST_NMS_TOP_N_TEST", 4, see.test_proposals, [12, 12], [4, 4]),
    Case(f"{RPN}.NMS_THRESH", 0.5, see.overlapping_proposals, [2, 2], [1, 1]),
    Case(f"{RPN}.MIN_SIZE", 11, see.test_proposals, [12, 12], [0, 0]),
    Case(f"{RPN}.MIN_SIZE", 11, see.train_proposals, [12, 12], [0, 0]),
    Case(
        *(f"{RPN}.FPN_POST_NMS_TOP_N_TRAIN", 30, see.train_proposals, [60, 60], [30, 0]),
        given=FPN,
    ),
    Case(
        *(f"{RPN}.FPN_POST_NMS_TOP_N_TEST", 30, see.test_proposals, [60, 60], [30, 30]),
        given=FPN,
    ),
    Case(
        *(f"{RPN}.FPN_POST_NMS_PER_BATCH", False, see.train_proposals, [30, 0], [30, 30]),
        given=FPN | {f"{RPN}.FPN_POST_NMS_TOP_N_TRAIN": 30},
    ),
]
ROIS = [
    Case(f"{HEADS}.USE_FPN", True, see.refused, [], [f"{HEADS}.USE_FPN"]),
    Case(f"{HEADS}.FG_IOU_THRESHOLD", 0.7, see.roi_matches, [-1, -1, 0, 0, 0], [-1, -1, -2, 0, 0]),
    Case(f"{HEADS}.BG_IOU_THRESHOLD", 0.3, see.roi_matches, [-1, -1, 0, 0, 0], [-1, -2, 0, 0, 0]),
    Case(
        *(f"{HEADS}.BBOX_REG_WEIGHTS", (5.0, 2.0, 5.0, 5.0), see.moved_by_one),
        *([1.0, 1.0, 10.0, 10.0], [2.0, 5.0, 11.0, 14.0]),
    ),
    Case(f"{HEADS}.BATCH_SIZE_PER_IMAGE", 64, see.roi_samples, (128, 384), (16, 48)),
    Case(f"{HEADS}.POSITIVE_FRACTION", 0.5, see.roi_samples, (128, 384), (256, 256)),
    Case(f"{HEADS}.SCORE_THRESH", 0.2, see.detected, [0.6, 0.1], [0.6]),
    Case(f"{HEADS}.NMS", 0.7, see.detected, [0.6, 0.1], [0.6, 0.5, 0.1]),
    Case(f"{HEADS}.DETECTIONS_PER_IMG", 1, see.detected, [0.6, 0.1], [0.6]),
    Case(f"{HEADS}.MIN_SIZE", 3.0, see.detected, [0.6, 0.1], [0.6]),
    Case(f"{SOFT}.ENABLED", True, see.detected, [0.6, 0.1], [0.6, 0.2, 0.1]),
    Case(
        *(f"{SOFT}.METHOD", "gaussian", see.detected, [0.6, 0.2, 0.1], [0.6, 0.243, 0.1]),
        given=SOFT_ON,
    ),
    Case(
        *(f"{SOFT}.SIGMA", 1.0, see.detected, [0.6, 0.243, 0.1], [0.6, 0.349, 0.1]),
        given=SOFT_ON | GAUSSIAN,
    ),
    Case(
        *(f"{SOFT}.MIN_SCORE", 0.15, see.detected, [0.6, 0.2, 0.1], [0.6, 0.2]),
        given=SOFT_ON,
    ),
]
BOXES = [
    Case(
        *(f"{BOX}.FEATURE_EXTRACTOR", "FPNXconv1fcFeatureExtractor", see.box_layers),
        *(["fc6 8", "fc7 8"], ["xconvs.0 8", "fc6 8"]),
        given=FPN,
    ),
    Case(f"{BOX}.PREDICTOR", "FPNPredictor", see.predictor, "FastRCNNPredictor", "FPNPredictor"),
    Case(f"{BOX}.POOLER_RESOLUTION", 2, see.box_pooled, [17.5], [9.5, 25.5], given=ONE_BIN),
    Case(f"{BOX}.POOLER_SAMPLING_RATIO", 1, see.box_pooled, [17.5], [16.0], given=ONE_BIN),
    Case(f"{BOX}.POOLER_ALIGNED", True, see.box_pooled, [17.5], [13.5], given=ONE_BIN),
    Case(f"{BOX}.POOLER_SCALES", (1 / 8,), see.box_pooled, [17.5], [69.5], given=ONE_BIN),
    Case(f"{BOX}.NUM_CLASSES", 5, see.outputs, [3, 12, 3, 3], [5, 20, 5, 5], given=MASKS),
    Case(
        *(f"{BOX}.MLP_HEAD_DIM", 12, see.box_layers, ["fc6 8", "fc7 8"], ["fc6 12", "fc7 12"]),
        given=FPN,
    ),
    Case(
        *(f"{BOX}.NAME", "CascadeBoxHead", see.stages_of_boxes, ["ROIBoxHead"]),
        ["ROIBoxHead"] * 3,
        given=FPN | AGNOSTIC,
    ),
    Case(
        *(f"{CASCADE}.IOUS", (0.5, 0.6, 0.85), see.cascade_matches),
        [[-1, -1, 0, 0, 0], [-1, -1, 0, 0, 0], [-1, -1, -1, 0, 0]],
        [[-1, -1, 0, 0, 0], [-1, -1, 0, 0, 0], [-1, -1, -1, -1, 0]],
        given=STAGES,
    ),
    Case(
        *(f"{CASCADE}.BBOX_REG_WEIGHTS", ((10, 1, 1, 1), (25, 1, 1, 1), (50, 1, 1, 1))),
        *(see.cascade_moves, [10.0, 5.0, 3.333], [10.0, 4.0, 2.0]),
        given=STAGES,
    ),
    Case(
        *(f"{CASCADE}.LOSS_WEIGHTS", (2.0, 3.0, 0.1), see.cascade_shares),
        *([1.0, 0.5, 0.25], [2.0, 3.0, 0.1]),
        given=STAGES | {"MODEL.MASK_ON": False, "MODEL.MASKIOU_ON": False},
    ),
    Case(
        *(f"{CASCADE}.AVERAGE", "logits", see.cascade_scores, [0.633], [0.675]),
        given=STAGES,
    ),
    Case(f"{BOX}.NORM", "BN", see.box_norms, [], [BN], given=XCONV),
    Case(f"{BOX}.NORM", "BN", see.box_norms, [], [BN], given=FPN),
    Case(f"{BOX}.NORM", "FrozenBN", see.box_norms, [], ["FrozenBatchNorm2d"], given=XCONV),
    Case(f"{BOX}.USE_GN", True, see.group_norms, [0, 0, 0], [2, 0, 0], given=FPN),
    Case(f"{BOX}.DILATION", 2, see.box_reach, 3, 5, given=XCONV),
    Case(
        *(f"{BOX}.CONV_HEAD_DIM", 12, see.box_layers),
        *(["xconvs.0 8", "fc6 8"], ["xconvs.0 12", "fc6 8"]),
        given=XCONV,
    ),
    Case(f"{BOX}.NUM_STACKED_CONVS", 3, see.box_reach, 3, 7, given=XCONV),
]
MASK_HEAD = [
    Case(
        *(f"{MASK}.FEATURE_EXTRACTOR", CONV5, see.refused, [], [f"{MASK}.FEATURE_EXTRACTOR"]),
        given=FPN | {"DATALOADER.SIZE_DIVISIBILITY": 32},
    ),
    Case(f"{MASK}.PREDICTOR", "X", see.refused, [], [f"{MASK}.PREDICTOR"], given=MASKS),
    Case(f"{MASK}.POOLER_RESOLUTION", 2, see.mask_pooled, [17.5], [9.5, 25.5], given=ONE_BIN),
    Case(f"{MASK}.POOLER_SAMPLING_RATIO", 1, see.mask_pooled, [17.5], [16.0], given=ONE_BIN),
    Case(f"{MASK}.POOLER_ALIGNED", True, see.mask_pooled, [17.5], [13.5], given=ONE_BIN),
    Case(f"{MASK}.POOLER_SCALES", (1 / 8,), see.mask_pooled, [17.5], [69.5], given=ONE_BIN),
    Case(
        *(f"{MASK}.CONV_LAYERS", (8, 12), see.mask_layers),
        *(["mask_fcn1 8"], ["mask_fcn1 8", "mask_fcn2 12"]),
        given=FPN,
    ),
    Case(f"{MASK}.RESOLUTION", 28, see.refused, [], [f"{MASK}.RESOLUTION"], given=MASKS),
    Case(f"{MASK}.SHARE_BOX_FEATURE_EXTRACTOR", False, see.shares, True, False, given=MASKS),
    Case(f"{MASK}.POSTPROCESS_MASKS", True, see.pastes, None, 0.5, given=MASKS),
    Case(
        *(f"{MASK}.POSTPROCESS_MASKS_THRESHOLD", 0.3, see.pastes, 0.5, 0.3),
        given=MASKS | {f"{MASK}.POSTPROCESS_MASKS": True},
    ),
    Case(f"{MASK}.PASTE_ALIGNED", True, see.pasted_rows, [0, 1, 3, 1, 0, 0], [0, 2, 2, 0, 0, 0]),
    Case(f"{MASK}.DILATION", 2, see.mask_reach, 3, 5, given=FPN),
    Case(f"{MASK}.NORM", "SyncBN", see.mask_norms, [[], []], [[SYNC_BN]] * 2, given=FPN),
    Case(
        *(f"{MASK}.NORM", "FrozenBN", see.mask_norms, [[], []], [["FrozenBatchNorm2d"], []]),
        given=FPN,
    ),
    Case(f"{MASK}.USE_GN", True, see.group_norms, [0, 0, 0], [0, 1, 4], given=FPN),
]
REFUSED = [
    Case(key, value, see.refused, [], [key], given=POINTS)
    for key, value in (
        (f"{KEYPOINT}.FEATURE_EXTRACTOR", "X"),
        (f"{KEYPOINT}.PREDICTOR", "X"),
        (f"{KEYPOINT}.RESOLUTION", 28),
        (f"{KEYPOINT}.SHARE_BOX_FEATURE_EXTRACTOR", True),
        (f"{KEYPOINT}.NUM_CLASSES", 0),
    )
]
POOLED = [
    Case(f"{KEYPOINT}.{key}", value, see.keypoint_pooled, [17.5], after, given=ONE_BIN_OF_POINTS)
    for key, value, after in (
        ("POOLER_RESOLUTION", 2, [9.5, 25.5]),
        ("POOLER_SAMPLING_RATIO", 1, [16.0]),
        ("POOLER_ALIGNED", True, [13.5]),
        ("POOLER_SCALES", (1 / 8,), [69.5]),
    )
]
KEYPOINT_HEAD = [
    *REFUSED,
    *POOLED,
    Case(
        *(f"{KEYPOINT}.CONV_LAYERS", (8, 12), see.keypoint_layers),
        *(["conv_fcn1 8", "17"], ["conv_fcn1 8", "conv_fcn2 12", "17"]),
        given=POINTS,
    ),
    Case(
        *(f"{KEYPOINT}.NUM_CLASSES", 5, see.keypoint_layers),
        *(["conv_fcn1 8", "17"], ["conv_fcn1 8", "5"]),
        given=POINTS,
    ),
]
CASES = [*WHOLE, *BODY, *PROPOSALS, *ROIS, *BOXES, *MASK_HEAD, *KEYPOINT_HEAD]
WITHOUT_CASE = {
    "MODEL.WEIGHT": "read by the tools when they load: tests/tools",
    "MODEL.PRETRAINED_MODELS": "of the original, nothing reads it; kept so that its YAMLs load",
    f"{MASK}.MLP_HEAD_DIM": "of the original, nothing reads it; kept so that its YAMLs load",
    f"{KEYPOINT}.MLP_HEAD_DIM": "upstream's, nothing reads it; kept so that its YAMLs load",
    f"{KEYPOINT}.MIN_KEYPOINTS_PER_IMAGE": "read with the data: tests/data/test_keypoint_data.py",
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_changed_key_changes_what_it_says(case):
    case.check(THIN)


def test_every_key_has_a_case():
    elsewhere = ("MODEL.FBNET.", "MODEL.RETINANET")  # test_every_fbnet_key, ..._retinanet_key
    keys = [key for key in all_keys() if key.startswith("MODEL.") and not key.startswith(elsewhere)]
    assert_complete(keys, CASES, WITHOUT_CASE)
