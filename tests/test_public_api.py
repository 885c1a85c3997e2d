"""The names that users and their scripts rely on."""

import importlib
import subprocess
import sys

import pytest

NAMES = {
    "config": ["cfg"],
    "modeling.detector": ["build_detection_model"],
    "modeling.backbone": ["build_backbone"],
    "modeling.box_coder": ["BoxCoder"],
    "modeling.matcher": ["Matcher"],
    "modeling.poolers": ["Pooler"],
    "modeling.rpn.anchor_generator": ["AnchorGenerator", "make_anchor_generator"],
    "structures.bounding_box": ["BoxList"],
    "structures.boxlist_ops": [
        "boxlist_nms",
        "boxlist_iou",
        "cat_boxlist",
        "remove_small_boxes",
    ],
    "structures.image_list": ["ImageList", "to_image_list"],
    "structures.segmentation_mask": ["SegmentationMask"],
    "structures.mask_paste": ["Masker"],
    "layers": [
        "nms",
        "ROIAlign",
        "roi_align",
        "ROIPool",
        "roi_pool",
        "smooth_l1_loss",
        "FrozenBatchNorm2d",
        "Conv2d",
        "ConvTranspose2d",
        "interpolate",
    ],
    "data": ["make_data_loader"],
    "data.datasets.coco": ["COCODataset"],
    "solver": ["make_optimizer", "make_lr_scheduler"],
    "engine.trainer": ["do_train"],
    "engine.inference": ["inference"],
    "engine.predictor": ["Predictor", "draw"],
    "predict.predictor": ["Predictor", "draw"],
    "checkpoint.checkpointer": ["Checkpointer", "DetectronCheckpointer"],
    "utils.checkpoint": ["DetectronCheckpointer"],
    "utils.comm": ["get_rank", "get_world_size", "is_main_process", "synchronize", "all_gather"],
    "utils.logger": ["setup_logger"],
}


@pytest.mark.parametrize("module", NAMES)
def test_names_stay_importable(module):
    found = importlib.import_module(f"maskrcnn_benchmark.{module}")
    assert [name for name in NAMES[module] if not hasattr(found, name)] == []


def test_a_model_is_imported_without_what_it_does_not_need():
    code = (
        "import sys; from maskrcnn_benchmark import build_detection_model; "
        "from maskrcnn_benchmark.config import cfg; print(*sys.modules)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    costly = {"torchvision", "torch._dynamo", "matplotlib", "cv2", "pandas", "scipy", "tensorboard"}
    assert costly & {*done.stdout.split()} == set()
