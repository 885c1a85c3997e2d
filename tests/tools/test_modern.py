"""The recipes of configs/modern at a fraction of their size: training, resuming, mask scores."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from maskrcnn_benchmark.config import cfg
from maskrcnn_benchmark.engine.launch import convert
from tests.helpers.ranks import on_ranks
from tests.helpers.torchvision_detector import torchvision_detector
from tests.tools.test_resume import HALF, assert_equal, final, leave_as_killed_half_way
from tests.tools.toy import draw_data, toy_config, train

RECIPE = "modern/ms_rcnn_R_50_FPN_100ep_LSJ.yaml"
SMALL = {
    "MODEL__ROI_BOX_HEAD__CONV_HEAD_DIM": 16,
    "MODEL__ROI_MASK_HEAD__POOLER_RESOLUTION": 4,
    "MODEL__ROI_MASK_HEAD__RESOLUTION": 8,
    "INPUT__LARGE_SCALE_JITTER__SIZE": 64,
    "SOLVER__REFERENCE_BATCH": 0,
    "SOLVER__EMA_DECAY": 0.5,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return draw_data(tmp_path_factory.mktemp("toy"))


def _process(rank: int, data: Path, folder: Path) -> None:
    train(toy_config(data, folder / "whole", RECIPE, **SMALL))
    if rank == 0:
        leave_as_killed_half_way(folder / "whole", folder / "parts")
    dist.barrier()
    train(toy_config(data, folder / "parts", RECIPE, **SMALL))


def test_the_recipe_from_scratch_resumes_bit_for_bit_on_two_ranks(data, tmp_path):
    """With synchronized norms, large-scale jitter, averaged weights and bfloat16."""
    on_ranks(_process, data, tmp_path)
    whole = final(tmp_path / "whole")
    assert_equal(final(tmp_path / "parts"), whole)
    half = torch.load(tmp_path / "whole" / HALF, weights_only=True)["model"]
    norm = "backbone.body.layer1.0.bn1"
    assert whole["model"][f"{norm}.num_batches_tracked"] == 4
    for name in (
        f"{norm}.running_mean",
        f"{norm}.weight",
        "roi_heads.maskiou.predictor.maskiou.weight",
    ):
        assert not whole["model"][name].equal(half[name]), name


def test_mask_scores_on_top_of_torchvisions_second_version(data, tmp_path):
    """Only the MaskIoU head is trained; the converted model and its norms stay as they are."""
    torch.save(torchvision_detector(7, version=2).state_dict(), tmp_path / "in.pth")
    source = tmp_path / "out.pth"
    found = convert(tmp_path / "in.pth", source)
    assert found.has_masks and not found.has_maskiou
    config = cfg.clone()
    config.merge_from_file(source.with_suffix(".yaml"))
    options = {
        "MODEL.DEVICE": "cpu",
        "MODEL.WEIGHT": str(source),
        "MODEL.MASKIOU_ON": True,
        "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE": 16,
        "INPUT.MIN_SIZE_TRAIN": 64,
        "INPUT.MAX_SIZE_TRAIN": 90,
        "DATALOADER.NUM_WORKERS": 0,
        "DATASETS.CUSTOM.toy.ANN_FILE": str(data / "annotations" / "instances_train.json"),
        "DATASETS.CUSTOM.toy.IMG_DIR": str(data / "train"),
        "DATASETS.TRAIN": ("toy",),
        "SOLVER.TRAIN_ONLY": "maskiou",
        "SOLVER.IMS_PER_BATCH": 2,
        "SOLVER.MAX_ITER": 2,
        "OUTPUT_DIR": str(tmp_path / "run"),
    }
    config.merge_from_list([part for pair in options.items() for part in pair])
    train(config)
    trained = final(tmp_path / "run")["model"]
    for name, tensor in found.state.items():
        assert trained[name].equal(tensor), name
    new = {name for name in trained if name not in found.state and "cell_anchors" not in name}
    assert new and all(name.startswith("roi_heads.maskiou.") for name in new)
    assert not any("fcn1.0" in name for name in new)  # its convolutions have no frozen norm
    assert trained["roi_heads.maskiou.predictor.maskiou.bias"].any()
