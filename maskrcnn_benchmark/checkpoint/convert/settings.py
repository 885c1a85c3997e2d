"""Derive the config of a converted model from its project and its tensor shapes."""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from maskrcnn_benchmark.checkpoint.convert.sources import MMDETECTION, TORCHVISION, Source
from maskrcnn_benchmark.checkpoint.convert.style import Style

_STAGE_OFFSETS = r"roi_heads\.box\.stages\.\d\.predictor\.bbox_pred\.weight"
# 1 / target_stds of mmdetection's cascades, where the last are 0.033 and 0.067
_MMDETECTION_WEIGHTS = (
    (10.0, 10.0, 5.0, 5.0),
    (20.0, 20.0, 10.0, 10.0),
    (30.30303, 30.30303, 14.925373, 14.925373),
)
_STRIDES = [4, 8, 16, 32, 64]
_SCALES = [1 / stride for stride in _STRIDES[:4]]
_LVIS = (1203, 1230)  # number of classes of LVIS v1 and v0.5
_DEPTHS = {(3, 4, 6, 3): "R-50", (3, 4, 23, 3): "R-101"}  # blocks per stage
# Learning rate and decay of the original; the schedule is a guess for SOLVER.TRAIN_ONLY "maskiou"
_SOLVER = {
    "BASE_LR": 0.02,
    "WEIGHT_DECAY": 0.0001,
    "STEPS": [12000, 16000],
    "MAX_ITER": 18000,
    "CHECKPOINT_PERIOD": 3000,
}


def make_settings(
    state: Mapping[str, Tensor], source: Source, style: Style, *, is_coco: bool
) -> dict[str, Any]:
    """Return the config keys that differ from the defaults, as a tree of plain values.

    Args:
        state: the converted tensors with our names, which determine the sizes.
        source: the source project, which determines the conventions.
        style: the style, with all attributes known.
        is_coco: whether to set the COCO data sets.

    Raises:
        ValueError: the backbone is not supported, or a tensor is missing.
    """
    assert style.pixels is not None
    is_torchvision = source is TORCHVISION
    try:
        model = {
            "MASK_ON": _has_masks(state),
            "MASKIOU_ON": any(name.startswith("roi_heads.maskiou.") for name in state),
            "PIXEL_OFFSET": 0.0,
            "BOX_CODER_CLIP_BELOW": source is MMDETECTION,
            **_backbone(state, stride_in_1x1=bool(style.stride_in_1x1)),
            **_pyramid(state),
            **_proposals(state, source),
            **_heads(state, source),
        }
    except KeyError as error:
        raise ValueError(f"the model lacks the tensor that we call {error}") from error
    inputs = {**style.pixels.settings(), "SIZE_ROUNDING": "down" if is_torchvision else "nearest"}
    settings = {"MODEL": model, "INPUT": inputs, "SOLVER": dict(_SOLVER)}
    settings["DATALOADER"] = {"SIZE_DIVISIBILITY": 32}
    if is_coco:
        settings["DATASETS"] = {"TRAIN": ["coco_2017_train"], "TEST": ["coco_2017_val"]}
    return settings


def change_settings(settings: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Set keys such as ``"MODEL.RPN.NMS_THRESH"`` in a tree."""
    for key, value in changes.items():
        *sections, name = key.split(".")
        node = settings
        for section in sections:
            node = node.setdefault(section, {})
        node[name] = value


def legacy_roi_align() -> dict[str, Any]:
    """Return the keys for detectron2's legacy ROIAlign: not aligned, 2 samples per bin and axis."""
    return {
        f"MODEL.ROI_{head}_HEAD.{key}": value
        for head in ("BOX", "MASK")
        for key, value in (("POOLER_ALIGNED", False), ("POOLER_SAMPLING_RATIO", 2))
    }


def lvis_limits(classes: int) -> dict[str, Any]:
    """Return the test limits of LVIS if the number of classes is that of LVIS, else nothing."""
    if classes not in _LVIS:
        return {}
    return {"MODEL.ROI_HEADS.SCORE_THRESH": 1e-4, "MODEL.ROI_HEADS.DETECTIONS_PER_IMG": 300}


def _backbone(state: Mapping[str, Tensor], *, stride_in_1x1: bool) -> dict[str, Any]:
    body = "backbone.body"
    width = len(state[f"{body}.layer1.0.conv1.weight"])
    blocks = tuple(
        len({n.split(".")[3] for n in state if n.startswith(f"{body}.layer{stage}.")})
        for stage in (1, 2, 3, 4)
    )
    groups = width // state[f"{body}.layer1.0.conv2.weight"].shape[1]
    if blocks not in _DEPTHS or f"{body}.layer1.0.conv3.weight" not in state:
        raise ValueError(
            f"the backbone has stages of {blocks} blocks; only ResNets and ResNeXts with 50 or 101 "
            "layers are supported"
        )
    return {
        "BACKBONE": {
            "CONV_BODY": f"{_DEPTHS[blocks]}-FPN",
            "OUT_CHANNELS": len(_kernel(state, "backbone.fpn.fpn_layer1")),
        },
        "RESNETS": {
            "STRIDE_IN_1X1": stride_in_1x1,
            "STEM_OUT_CHANNELS": len(state[f"{body}.stem.conv1.weight"]),
            "RES2_OUT_CHANNELS": len(state[f"{body}.layer1.0.conv3.weight"]),
            "NUM_GROUPS": groups,
            "WIDTH_PER_GROUP": width // groups,
            **({} if f"{body}.layer1.0.bn1.running_var" in state else {"NORM": "GN"}),
        },
    }


def _kernel(state: Mapping[str, Tensor], layer: str) -> Tensor:
    """Return the weight of a convolution with or without a norm beside it."""
    return state[f"{layer}.{'0.' if f'{layer}.0.weight' in state else ''}weight"]


def _norm(state: Mapping[str, Tensor], layer: str) -> dict[str, str]:
    """Return the ``NORM`` of the part that a layer belongs to, unless it has none."""
    if f"{layer}.1.weight" not in state:
        return {}
    return {"NORM": "FrozenBN" if f"{layer}.1.running_var" in state else "GN"}


def _pyramid(state: Mapping[str, Tensor]) -> dict[str, Any]:
    norm = _norm(state, "backbone.fpn.fpn_inner1")
    return {"FPN": norm} if norm else {}


def _proposals(state: Mapping[str, Tensor], source: Source) -> dict[str, Any]:
    is_torchvision = source is TORCHVISION
    convs = sum(re.fullmatch(r"rpn\.head\.conv\d?\.weight", name) is not None for name in state)
    head = {"RPN_HEAD": "MultiConvRPNHead", "NUM_CONVS": convs} if convs > 1 else {}
    return {
        "RPN": {
            **head,
            "USE_FPN": True,
            "ANCHOR_STRIDE": _STRIDES,
            "ANCHOR_RULE": "torchvision" if is_torchvision else "centered",
            "STRADDLE_THRESH": -1,
            # the other projects keep every side above 0
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
    heads = {
        "ROI_HEADS": {"USE_FPN": True, "MIN_SIZE": 0.01 if is_torchvision else 0.0},
        "ROI_BOX_HEAD": pooler | _box_head(state),
        **_cascade(state, source),
    }
    if _has_masks(state):
        heads["ROI_MASK_HEAD"] = pooler | _mask_head(state) | {"PASTE_ALIGNED": not is_torchvision}
    return heads


def _cascade(state: Mapping[str, Tensor], source: Source) -> dict[str, Any]:
    """Return the settings of the stages; nothing if the box head is no cascade."""
    offsets = [len(state[n]) for n in state if re.fullmatch(_STAGE_OFFSETS, n)]
    if not offsets:
        return {}
    if offsets != [4] * len(_MMDETECTION_WEIGHTS):
        raise ValueError(
            f"the cascade has stages with {offsets} box offsets; only three stages with 4, the "
            "same for every class, are supported"
        )
    if source is not MMDETECTION:
        return {"ROI_BOX_CASCADE_HEAD": {"AVERAGE": "probabilities"}}
    weights = [list(stage) for stage in _MMDETECTION_WEIGHTS]
    return {"ROI_BOX_CASCADE_HEAD": {"AVERAGE": "logits", "BBOX_REG_WEIGHTS": weights}}


def _box_head(state: Mapping[str, Tensor]) -> dict[str, Any]:
    is_cascade = "roi_heads.box.stages.0.predictor.cls_score.weight" in state
    head = "roi_heads.box.stages.0" if is_cascade else "roi_heads.box"
    extractor = f"{head}.feature_extractor"
    convs = sorted(
        (int(name.split(".")[-2]), len(tensor))
        for name, tensor in state.items()
        if name.startswith(f"{extractor}.xconvs.") and tensor.ndim == 4
    )
    settings: dict[str, Any] = {
        **({"NAME": "CascadeBoxHead"} if is_cascade else {}),
        "POOLER_SCALES": list(_SCALES),
        "POOLER_RESOLUTION": 7,
        "FEATURE_EXTRACTOR": "FPN2MLPFeatureExtractor",
        "PREDICTOR": "ClassAgnosticPredictor" if is_cascade else "FPNPredictor",
        "NUM_CLASSES": len(state[f"{head}.predictor.cls_score.weight"]),
        "MLP_HEAD_DIM": len(state[f"{extractor}.fc6.weight"]),
    }
    if not convs:
        return settings
    if f"{extractor}.fc7.weight" in state:
        raise ValueError("box heads with convolutions must have 1 linear layer; this has 2")
    return settings | {
        "FEATURE_EXTRACTOR": "FPNXconv1fcFeatureExtractor",
        "NUM_STACKED_CONVS": len(convs),
        "CONV_HEAD_DIM": convs[0][1],
        **_norm(state, f"{extractor}.xconvs"),
    }


def _has_masks(state: Mapping[str, Tensor]) -> bool:
    return any(name.startswith("roi_heads.mask.") for name in state)


def _mask_head(state: Mapping[str, Tensor]) -> dict[str, Any]:
    stage = "roi_heads.mask.predictor.stages.0"
    has_stages = any(name.startswith(f"{stage}.") for name in state)
    conv, first = "roi_heads.mask.feature_extractor.mask_fcn", 1
    if has_stages:
        conv, first = f"{stage}.convs.", 0
    numbers = {name.removeprefix(conv).split(".")[0] for name in state if name.startswith(conv)}
    return {
        "POOLER_SCALES": list(_SCALES),
        "POOLER_RESOLUTION": 14,
        "RESOLUTION": 28,
        "SHARE_BOX_FEATURE_EXTRACTOR": False,
        "FEATURE_EXTRACTOR": (
            "PooledFeatureExtractor" if has_stages else "MaskRCNNFPNFeatureExtractor"
        ),
        "PREDICTOR": "MeanMaskPredictor" if has_stages else "MaskRCNNC4Predictor",
        "CONV_LAYERS": [
            len(_kernel(state, f"{conv}{number}")) for number in range(first, first + len(numbers))
        ],
        **_norm(state, f"{conv}{first}"),
    }
