"""Data loaders of two ranks connected by gloo."""

import json
from pathlib import Path

import pytest

from maskrcnn_benchmark.data import make_data_loader
from tests.data.helpers import square, write_coco
from tests.helpers.every_key import config_with
from tests.helpers.ranks import on_ranks

IMAGES = [(40, 20, [square(1, 1, 9)])] * 6 + [(40, 20, [])]


def _options(folder):
    return {
        "DATASETS.CUSTOM.tiny.ANN_FILE": f"{folder}/annotations.json",
        "DATASETS.CUSTOM.tiny.IMG_DIR": f"{folder}/images",
        "DATASETS.TRAIN": ("tiny",),
        "DATASETS.TEST": ("tiny",),
        "DATALOADER.NUM_WORKERS": 0,
        "MODEL.DEVICE": "cpu",
        "MODEL.ROI_BOX_HEAD.NUM_CLASSES": 3,
        "INPUT.MIN_SIZE_TRAIN": 20,
        "INPUT.MIN_SIZE_TEST": 20,
        "SOLVER.MAX_ITER": 3,
        "SOLVER.IMS_PER_BATCH": 2,
        "TEST.IMS_PER_BATCH": 2,
    }


def _process(rank, folder):
    config = config_with(_options(folder))
    (tested,) = make_data_loader(config, is_train=False, is_distributed=True)
    loaders = {"train": make_data_loader(config, is_distributed=True), "test": tested}
    seen = {
        split: [list(map(int, indices)) for _, _, indices in loader]
        for split, loader in loaders.items()
    }
    Path(folder, f"{rank}.json").write_text(json.dumps(seen))
    for key, is_train in (("SOLVER.IMS_PER_BATCH", True), ("TEST.IMS_PER_BATCH", False)):
        odd = config_with({**_options(folder), key: 3})
        with pytest.raises(ValueError, match=f"{key} 3 must be divisible by the 2 processes"):
            make_data_loader(odd, is_train=is_train, is_distributed=True)


def test_two_processes_share_each_pass_and_each_batch(tmp_path):
    write_coco(tmp_path, IMAGES)
    on_ranks(_process, str(tmp_path))
    ranks = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    for seen in ranks:
        assert [len(batch) for batch in seen["train"]] == [1, 1, 1]  # half of two images
        assert all(len(batch) == 1 for batch in seen["test"])
    trained, tested = (
        [[i for batch in seen[split] for i in batch] for seen in ranks]
        for split in ("train", "test")
    )
    assert sorted(trained[0] + trained[1]) == list(
        range(6)
    )  # one epoch over the images with objects
    assert set(tested[0]) | set(tested[1]) == set(range(7))
