"""A tiny real training: a thin Mask Scoring R-CNN on images of the embedded data set."""

import importlib
import sys
from pathlib import Path
from typing import Any

import torch

from maskrcnn_benchmark.config import cfg
from maskrcnn_benchmark.data.synthetic import write_synthetic_coco
from maskrcnn_benchmark.engine.launch.training import make_training, run_training
from maskrcnn_benchmark.engine.random_state import seed_generators
from maskrcnn_benchmark.utils.comm import get_rank

ROOT = Path(__file__).parent.parent.parent
THIN = {
    "MODEL.DEVICE": "cpu",
    "MODEL.WEIGHT": "",
    "MODEL.RESNETS.WIDTH_PER_GROUP": 4,
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 16,
    "MODEL.RESNETS.STEM_OUT_CHANNELS": 8,
    "MODEL.BACKBONE.OUT_CHANNELS": 16,
    "MODEL.ROI_BOX_HEAD.NUM_CLASSES": 7,
    "MODEL.ROI_BOX_HEAD.MLP_HEAD_DIM": 16,
    "MODEL.ROI_MASK_HEAD.CONV_LAYERS": (16, 16),
    # fewer than there are, so that the draw matters
    "MODEL.RPN.BATCH_SIZE_PER_IMAGE": 64,
    "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE": 16,
    "INPUT.MIN_SIZE_TRAIN": (56, 64),
    "INPUT.MAX_SIZE_TRAIN": 90,
    "INPUT.VERTICAL_FLIP_PROB_TRAIN": 0.5,
    "INPUT.BRIGHTNESS": 0.3,
    "INPUT.HUE": 0.1,
    "INPUT.MIN_SIZE_TEST": 64,
    "INPUT.MAX_SIZE_TEST": 90,
    "DATALOADER.NUM_WORKERS": 0,
    "SOLVER.IMS_PER_BATCH": 2,
    "SOLVER.BASE_LR": 1e-4,
    "SOLVER.MAX_ITER": 4,
    "SOLVER.CHECKPOINT_PERIOD": 2,
    "TEST.IMS_PER_BATCH": 2,
}
# an untrained model finds much; a few of it evaluate quickly
FEW = {"MODEL__RPN__POST_NMS_TOP_N_TEST": 20, "MODEL__RPN__FPN_POST_NMS_TOP_N_TEST": 20}


def draw_data(folder: Path) -> Path:
    """Generate six training and two test images."""
    write_synthetic_coco(folder, num_train=6, num_val=2, seed=0)
    return folder


def toy_options(data: Path, output: Path, **changes: Any) -> list[str]:
    """Return KEY VALUE pairs; a changed key is written with ``__`` for the dots."""
    pairs = dict(THIN)
    for split in ("train", "val"):
        key = f"DATASETS.CUSTOM.toy_{split}"
        pairs[f"{key}.ANN_FILE"] = str(data / "annotations" / f"instances_{split}.json")
        pairs[f"{key}.IMG_DIR"] = str(data / split)
    pairs |= {"DATASETS.TRAIN": ("toy_train",), "DATASETS.TEST": ("toy_val",)}
    pairs["OUTPUT_DIR"] = str(output)
    pairs |= {key.replace("__", "."): value for key, value in changes.items()}
    return [str(part) for pair in pairs.items() for part in pair]


def toy_config(
    data: Path, output: Path, file: str = "e2e_ms_rcnn_R_50_FPN_1x.yaml", **changes: Any
) -> Any:
    """Return the config of a toy training."""
    tree = cfg.clone()
    tree.merge_from_file(str(ROOT / "configs" / file))
    tree.merge_from_list(toy_options(data, output, **changes))
    return tree


def tool(name: str) -> Any:
    """Import a module of tools/."""
    if str(ROOT / "tools") not in sys.path:
        sys.path.insert(0, str(ROOT / "tools"))
    return importlib.import_module(name)


def train(config: Any) -> None:
    """Train in this process as ``launch.train`` does, without its test and its log."""
    seed_generators(config.SEED + get_rank())
    training = make_training(config, torch.device("cpu"))
    run_training(training, Path(config.OUTPUT_DIR), config.dump())
