"""A tiny Mask Scoring R-CNN with random weights, as YAML and as a checkpoint."""

from pathlib import Path
from typing import Any

import torch
from yacs.config import CfgNode

from maskrcnn_benchmark.checkpoint.checkpointer import DetectronCheckpointer
from maskrcnn_benchmark.config import make_default_config
from maskrcnn_benchmark.modeling.detector import build_detection_model
from tests.helpers.shipped_configs import CONFIGS, yaml_tree

CONFIG = CONFIGS / "e2e_ms_rcnn_R_50_FPN_1x.yaml"


def tiny_tree(classes: int = 3, **model: Any) -> dict[str, Any]:
    """Return the YAML's content; ``model`` sets keys of MODEL, such as MASKIOU_ON."""
    tree = yaml_tree(CONFIG)
    tree["MODEL"].update(WEIGHT="", DEVICE="cpu", **model)
    tree["MODEL"]["BACKBONE"].update(CONV_BODY="R-18-FPN", OUT_CHANNELS=16)
    tree["MODEL"]["RESNETS"] = {"RES2_OUT_CHANNELS": 16, "STEM_OUT_CHANNELS": 8}
    tree["MODEL"]["ROI_BOX_HEAD"].update(NUM_CLASSES=classes, MLP_HEAD_DIM=16)
    mask_head = {"CONV_LAYERS": (16, 16), "POOLER_RESOLUTION": 6, "RESOLUTION": 12}
    tree["MODEL"]["ROI_MASK_HEAD"].update(mask_head)
    tree["MODEL"]["RPN"].update(PRE_NMS_TOP_N_TEST=50, FPN_POST_NMS_TOP_N_TEST=50)
    tree["MODEL"]["ROI_HEADS"]["DETECTIONS_PER_IMG"] = 6
    tree["INPUT"] = {"MIN_SIZE_TEST": 64, "MAX_SIZE_TEST": 96}
    return tree


def tiny_config(classes: int = 3, **model: Any) -> CfgNode:
    cfg = make_default_config()
    cfg.merge_from_other_cfg(tiny_tree(classes, **model))
    return cfg


def save_checkpoint(folder: Path, cfg: CfgNode, class_names: list[str] | None = None) -> Path:
    """Write ``model.pth`` with random weights that give detections in every image."""
    torch.manual_seed(0)
    model = build_detection_model(cfg)
    with torch.no_grad():  # scores and masks that differ from box to box
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and "predictor" in name and "maskiou" not in name:
                parameter.mul_(4)
    checkpointer = DetectronCheckpointer(cfg, model, save_dir=folder)
    if class_names is not None:
        checkpointer.metadata["class_names"] = ["__background__", *class_names]
        checkpointer.metadata["category_ids"] = [7, 9]
    checkpointer.save("model")
    return folder / "model.pth"
