"""The config that a converted model needs: what its project computes, and its sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from .sources import TORCHVISION, Source

_STRIDES = [4, 8, 16, 32, 64]
_SCALES = [1 / stride for stride in _STRIDES[:4]]
_DEPTHS = {(3, 4, 6, 3): "R-50", (3, 4, 23, 3): "R-101"}  # blocks of the stages
_STYLES: dict[str, dict[str, Any]] = {
    "pytorch": {
        "PIXEL_MEAN": [0.485, 0.456, 0.406],
        "PIXEL_STD": [0.229, 0.224, 0.225],
        "TO_BGR255": False,
    },
    "caffe": {
        "PIXEL_MEAN": [103.53, 116.28, 123.675],
        "PIXEL_STD": [1.0, 1.0, 1.0],
        "TO_BGR255": True,
    },
}
# The original's rate and decay; the schedule suits SOLVER.TRAIN_ONLY "maskiou" and is a guess
_SOLVER = {
    "BASE_LR": 0.02,
    "WEIGHT_DECAY": 0.0001,
    "STEPS": [12000, 16000],
    "MAX_ITER": 18000,
    "CHECKPOINT_PERIOD": 3000,
}


def make_settings(
    state: Mapping[str, Tensor], source: Source, *, style: str, is_coco: bool
) -> dict[str, Any]:
    """Return the keys that differ from the defaults, as a tree of plain values.

    Args:
        state: the converted tensors under our names; they tell the sizes.
        source: the project, whose conventions are chosen.
        style: see ``convert_detector``.
        is_coco: name COCO's data sets.

    Raises:
        ValueError: the backbone is not one of ours, a tensor is missing, or the style is unknown.
    """
    if style not in _STYLES:
        raise ValueError(f"style {style!r} is unknown; it is one of {', '.join(_STYLES)}")
    try:
        model = {
            "MASK_ON": True,
            "MASKIOU_ON": True,
            "PIXEL_OFFSET": 0.0,
            **_backbone(state, stride_in_1x1=style == "caffe"),
            **_proposals(source),
            **_heads(state, source),
        }
    except KeyError as error:
        raise ValueError(f"the model lacks what is called {error} here") from error
    settings = {"MODEL": model, "INPUT": _STYLES[style], "SOLVER": _SOLVER}
    settings["DATALOADER"] = {"SIZE_DIVISIBILITY": 32}
    if is_coco:
        settings["DATASETS"] = {"TRAIN": ["coco_2017_train"], "TEST": ["coco_2017_val"]}
    return settings


def _backbone(state: Mapping[str, Tensor], *, stride_in_1x1: bool) -> dict[str, Any]:
    body = "backbone.body"
    first = state[f"{body}.layer1.0.conv1.weight"]
    blocks = tuple(
        len({n.split(".")[3] for n in state if n.startswith(f"{body}.layer{stage}.")})
        for stage in (1, 2, 3, 4)
    )
    groups = first.shape[0] // state[f"{body}.layer1.0.conv2.weight"].shape[1]
    if blocks not in _DEPTHS or groups != 1 or f"{body}.layer1.0.conv3.weight" not in state:
        raise ValueError(
            f"the backbone has stages of {blocks} blocks and {groups} groups; ResNet-50 and "
            "ResNet-101 can be converted"
        )
    return {
        "BACKBONE": {
            "CONV_BODY": f"{_DEPTHS[blocks]}-FPN",
            "OUT_CHANNELS": len(state["backbone.fpn.fpn_layer1.bias"]),
        },
        "RESNETS": {
            "STRIDE_IN_1X1": stride_in_1x1,
            "STEM_OUT_CHANNELS": len(state[f"{body}.stem.conv1.weight"]),
            "RES2_OUT_CHANNELS": len(state[f"{body}.layer1.0.conv3.weight"]),
            "WIDTH_PER_GROUP": len(first),
        },
    }


def _proposals(source: Source) -> dict[str, Any]:
    is_torchvision = source is TORCHVISION
    return {
        "RPN": {
            "USE_FPN": True,
            "ANCHOR_STRIDE": _STRIDES,
            "ANCHOR_RULE": "torchvision" if is_torchvision else "centred",
            "STRADDLE_THRESH": -1,
            # the others keep every side above 0
            "MIN_SIZE": 1e-3 if is_torchvision else 1e-6,
            "PRE_NMS_TOP_N_TRAIN": 2000,
            "PRE_NMS_TOP_N_TEST": 1000,
            "POST_NMS_TOP_N_TRAIN": 2000,
            "POST_NMS_TOP_N_TEST": 1000,
            "FPN_POST_NMS_TOP_N_TRAIN": 2000 if is_torchvision else 1000,
            "FPN_POST_NMS_TOP_N_TEST": 1000,
            "FPN_POST_NMS_PER_BATCH": False,
        }
    }


def _heads(state: Mapping[str, Tensor], source: Source) -> dict[str, Any]:
    is_torchvision = source is TORCHVISION
    pooler = {
        "POOLER_SAMPLING_RATIO": 2 if is_torchvision else 0,
        "POOLER_ALIGNED": not is_torchvision,
    }
    masks = "roi_heads.mask.feature_extractor.mask_fcn"
    widths = {n: len(tensor) for n, tensor in state.items() if n.startswith(masks)}
    layers = [widths[f"{masks}{i}.bias"] for i in range(1, len(widths) // 2 + 1)]
    return {
        "ROI_HEADS": {"USE_FPN": True, "MIN_SIZE": 0.01 if is_torchvision else 0.0},
        "ROI_BOX_HEAD": {
            **pooler,
            "POOLER_SCALES": list(_SCALES),
            "POOLER_RESOLUTION": 7,
            "FEATURE_EXTRACTOR": "FPN2MLPFeatureExtractor",
            "PREDICTOR": "FPNPredictor",
            "NUM_CLASSES": len(state["roi_heads.box.predictor.cls_score.weight"]),
            "MLP_HEAD_DIM": len(state["roi_heads.box.feature_extractor.fc6.weight"]),
        },
        "ROI_MASK_HEAD": {
            **pooler,
            "POOLER_SCALES": list(_SCALES),
            "POOLER_RESOLUTION": 14,
            "RESOLUTION": 28,
            "SHARE_BOX_FEATURE_EXTRACTOR": False,
            "FEATURE_EXTRACTOR": "MaskRCNNFPNFeatureExtractor",
            "PREDICTOR": "MaskRCNNC4Predictor",
            "CONV_LAYERS": layers,
        },
    }
