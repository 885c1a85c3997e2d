"""Complete data loaders: batches, resuming, workers, and configuration errors."""

import os
import signal

import pytest
import torch
from torch.utils.data._utils.pin_memory import pin_memory

from maskrcnn_benchmark.config import cfg
from maskrcnn_benchmark.data import make_data_loader
from maskrcnn_benchmark.data.datasets import ConcatDataset
from tests.data.helpers import square, write_coco

IMAGES = [
    (40, 20, [square(1, 1, 9)]),
    (20, 40, [square(2, 2, 9, category_id=7)]),
    (40, 30, []),
    (30, 30, [square(1, 1, 5), square(7, 7, 5)]),
    (44, 21, [square(5, 5, 9)]),
    (21, 44, [square(5, 5, 9, iscrowd=1)]),
    (25, 44, [square(5, 5, 9)]),
]


@pytest.fixture
def config(tmp_path):
    ann_file, img_dir = write_coco(tmp_path, IMAGES)
    config = cfg.clone()
    config.merge_from_list(
        ["DATASETS.CUSTOM.tiny.ANN_FILE", str(ann_file), "DATASETS.CUSTOM.tiny.IMG_DIR"]
        + [str(img_dir)]
        + ["DATASETS.TRAIN", ("tiny",), "DATASETS.TEST", ("tiny",), "SOLVER.MAX_ITER", 7]
        + ["SOLVER.IMS_PER_BATCH", 2, "TEST.IMS_PER_BATCH", 3, "DATALOADER.NUM_WORKERS", 0]
        + ["INPUT.MIN_SIZE_TRAIN", (16, 20, 24), "INPUT.MAX_SIZE_TRAIN", 64, "MODEL.DEVICE", "cpu"]
        + ["INPUT.MIN_SIZE_TEST", 20, "INPUT.MAX_SIZE_TEST", 64, "DATALOADER.SIZE_DIVISIBILITY", 32]
        + ["MODEL.ROI_BOX_HEAD.NUM_CLASSES", 3]
    )
    return config


def content(batch):
    images, targets, indices = batch
    boxes = [target.bbox.tolist() for target in targets]
    return images.tensors.sum().item(), images.image_sizes, boxes, indices


def test_training_batches(config):
    loader = make_data_loader(config)
    assert len(loader) == 7
    batches = list(loader)
    assert len(batches) == 7
    seen = set()
    for images, targets, indices in batches:
        assert images.tensors.shape[2] % 32 == images.tensors.shape[3] % 32 == 0
        assert len(images.image_sizes) == len(targets) == len(indices)
        for (height, width), target, index in zip(
            images.image_sizes, targets, indices, strict=True
        ):
            assert target.size == (width, height)
            assert min(height, width) in (16, 20, 24)
            assert target.fields() == ["labels", "masks"]
            info = loader.dataset.get_img_info(index)
            assert info["id"] == loader.dataset.ids[index]
            assert (info["height"] >= info["width"]) == (height >= width)
        assert len({height >= width for height, width in images.image_sizes}) == 1
        seen.update(indices)
    assert seen == set(range(6))  # the image without annotations is left out


def test_empty_images_can_be_kept(config):
    config.DATALOADER.FILTER_EMPTY = False
    assert len(make_data_loader(config).dataset) == 7


def test_a_resumed_loader_yields_the_rest(config):
    whole = [content(batch) for batch in make_data_loader(config)]
    for start in (1, 3, 6, 7):
        rest = [content(batch) for batch in make_data_loader(config, start_iter=start)]
        assert rest == whole[start:]


def test_pinning_asks_every_tensor_of_a_batch(config, monkeypatch):
    asked = []

    def pin(tensor, *_):
        asked.append(tensor)
        return tensor + 0

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    images, targets, indices = next(iter(make_data_loader(config)))
    targets[0].add_field("empty", torch.zeros(len(targets[0]), 0))
    pinned_images, pinned_targets, pinned_indices = pin_memory((images, targets, indices))
    tensors = [images.tensors]
    for target in targets:
        values = [target.get_field(name) for name in target.fields()]
        tensors += [target.bbox, *(value for value in values if isinstance(value, torch.Tensor))]
    assert len(tensors) == 1 + 2 * 2 + 1
    assert sorted(map(id, asked)) == sorted(map(id, tensors))
    assert content((pinned_images, pinned_targets, pinned_indices)) == content(
        (images, targets, indices)
    )
    for target, pinned in zip(targets, pinned_targets, strict=True):
        assert (pinned.size, pinned.mode, pinned.fields()) == (
            target.size, target.mode, target.fields()
        )  # fmt: skip
        assert pinned.get_field("masks") is target.get_field("masks")


@pytest.mark.parametrize(
    ("device", "gpu", "pins"),
    [("cuda", True, True), ("cuda:1", True, True), ("cuda", False, False), ("cpu", True, False)],
)
def test_batches_are_pinned_for_a_gpu(config, monkeypatch, device, gpu, pins):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    config.MODEL.DEVICE = device
    assert make_data_loader(config).pin_memory == pins


def test_a_worker_outlives_sigterm_until_its_step_is_done(config):
    config.DATALOADER.NUM_WORKERS = 1
    batches = iter(make_data_loader(config))
    first = [content(next(batches))]
    for worker in batches._workers:
        os.kill(worker.pid, signal.SIGTERM)
        os.kill(worker.pid, signal.SIGINT)
    rest = [content(batch) for batch in batches]
    config.DATALOADER.NUM_WORKERS = 0
    assert first + rest == [content(batch) for batch in make_data_loader(config)]


def test_workers_do_not_change_the_batches(config):
    alone = [content(batch) for batch in make_data_loader(config)]
    config.DATALOADER.NUM_WORKERS = 2
    assert [content(batch) for batch in make_data_loader(config)] == alone


def test_batches_depend_on_the_seed_only(config):
    first = [content(batch) for batch in make_data_loader(config)]
    torch.manual_seed(99)  # the global generator is neither used nor advanced
    state = torch.get_rng_state()
    assert [content(batch) for batch in make_data_loader(config)] == first
    assert torch.equal(torch.get_rng_state(), state)
    config.SEED = 1
    assert [content(batch) for batch in make_data_loader(config)] != first


def test_test_loaders_go_through_each_data_set_once(config):
    config.DATASETS.TEST = ("tiny", "tiny")
    loaders = make_data_loader(config, is_train=False)
    assert len(loaders) == 2
    for loader in loaders:
        batches = list(loader)
        assert sorted(i for _, _, indices in batches for i in indices) == list(range(7))
        assert all(min(size) == 20 for images, _, _ in batches for size in images.image_sizes)
        assert [content(batch) for batch in loader] == [content(batch) for batch in batches]


@pytest.mark.parametrize("step", [0, 16, 32])
@pytest.mark.parametrize("rounding", ["down", "nearest"])
def test_test_images_are_padded_as_if_alone(config, step, rounding):
    config.DATALOADER.SIZE_DIVISIBILITY = step
    config.INPUT.SIZE_ROUNDING = rounding
    config.INPUT.MIN_SIZE_TEST = 27
    (loader,) = make_data_loader(config, is_train=False)
    batches = list(loader)
    assert len(loader) == len(batches)
    if step:
        assert max(len(indices) for _, _, indices in batches) > 1
    config.TEST.IMS_PER_BATCH = 1
    (one_by_one,) = make_data_loader(config, is_train=False)
    alone = {indices[0]: images.tensors.shape for images, _, indices in one_by_one}
    assert list(alone) == list(range(7))  # one at a time in data set order
    for images, _, indices in batches:
        assert list(indices) == sorted(indices)
        assert all(images.tensors.shape[1:] == alone[index][1:] for index in indices)
    # as large as possible
    shapes = [images.tensors.shape[1:] for images, _, _ in batches]
    for shape in set(shapes):
        count = sum(each[1:] == shape for each in alone.values())
        assert shapes.count(shape) == -(-count // 3)


def test_several_training_sets_are_concatenated(config):
    config.DATASETS.TRAIN = ("tiny", "tiny")
    loader = make_data_loader(config)
    assert isinstance(loader.dataset, ConcatDataset)
    assert len(loader.dataset) == 12
    assert len(list(loader)) == 7


def test_mistakes_are_named(config):
    config.MODEL.ROI_BOX_HEAD.NUM_CLASSES = 2
    with pytest.raises(ValueError, match=r"tiny has 2 classes: .*NUM_CLASSES must be 3"):
        make_data_loader(config)
    config.DATASETS.TRAIN = ()
    with pytest.raises(ValueError, match="DATASETS.TRAIN is empty"):
        make_data_loader(config)
    config.DATASETS.TRAIN = ("coco_2014_tran",)
    with pytest.raises(ValueError, match="coco_2014_tran"):
        make_data_loader(config)
    config.DATASETS.TRAIN = ("coco_2014_train",)
    with pytest.raises(FileNotFoundError, match=r"'coco_2014_train': .*instances_train2014.json"):
        make_data_loader(config)


def test_masks_are_needed_to_learn_masks(config, tmp_path):
    box = {key: value for key, value in square(1, 1, 5).items() if key != "segmentation"}
    folder = tmp_path / "boxes"
    folder.mkdir()
    ann_file, _ = write_coco(folder, [(20, 10, [box])])
    config.DATASETS.CUSTOM.tiny.ANN_FILE = str(ann_file)
    config.DATASETS.CUSTOM.tiny.IMG_DIR = str(folder / "images")
    config.MODEL.MASK_ON = True
    with pytest.raises(ValueError, match="tiny has no masks: set MODEL.MASK_ON False"):
        make_data_loader(config)
    config.MODEL.MASK_ON = False
    (_, targets, _) = next(iter(make_data_loader(config)))
    assert targets[0].fields() == ["labels"]


def test_another_catalog(config, tmp_path):
    ann_file, img_dir = write_coco(tmp_path, IMAGES)
    catalog = tmp_path / "catalog.py"
    catalog.write_text(
        "class DatasetCatalog:\n"
        "    @staticmethod\n"
        "    def get(name):\n"
        "        factory = 'COCODataset' if name == 'known' else 'NoDataset'\n"
        f"        return dict(factory=factory, args=dict(root={str(img_dir)!r},"
        f" ann_file={str(ann_file)!r}))\n"
    )
    config.PATHS_CATALOG = str(catalog)
    config.DATASETS.TRAIN = ("known",)
    assert len(make_data_loader(config).dataset) == 6
    config.DATASETS.TRAIN = ("strange",)
    with pytest.raises(ValueError, match="FACTORY is 'NoDataset', .* known: .*COCODataset"):
        make_data_loader(config)
    config.PATHS_CATALOG = str(tmp_path / "none.py")
    with pytest.raises(FileNotFoundError, match="none.py"):
        make_data_loader(config)


def test_learned_instances_are_logged(config, caplog):
    caplog.set_level("INFO")
    make_data_loader(config)
    assert "tiny: 6 of 7 instances are learned; left out: 1 (crowd)" in caplog.text


def test_a_set_without_instances_is_not_trained_on(config, tmp_path):
    (tmp_path / "empty").mkdir()
    ann_file, _ = write_coco(tmp_path / "empty", [(40, 20, [])])
    config.DATASETS.CUSTOM.tiny.ANN_FILE = str(ann_file)
    config.DATALOADER.FILTER_EMPTY = False
    with pytest.raises(ValueError, match="there is nothing to learn; 0 of 0"):
        make_data_loader(config)
    assert len(make_data_loader(config, is_train=False)) == 1


def test_sets_with_and_without_masks_can_be_combined(config, tmp_path):
    (tmp_path / "boxes").mkdir()
    box = {k: v for k, v in square(1, 1, 9).items() if k != "segmentation"}
    ann_file, img_dir = write_coco(tmp_path / "boxes", [(40, 20, [box])])
    custom = {"ANN_FILE": str(ann_file), "IMG_DIR": str(img_dir)}
    config.merge_from_other_cfg({"DATASETS": {"CUSTOM": {"boxes": custom}}})
    config.DATASETS.TRAIN = ("boxes",)
    config.MODEL.MASK_ON = True
    with pytest.raises(ValueError, match="boxes has no masks"):
        make_data_loader(config)
    config.DATASETS.TRAIN = ("tiny", "boxes")
    dataset = make_data_loader(config).dataset
    assert not dataset[len(dataset) - 1][1].get_field("masks").present().any()
    assert dataset[0][1].get_field("masks").present().all()
    config.MODEL.MASK_ON = False
    config.DATASETS.TRAIN = ("boxes",)
    assert make_data_loader(config).dataset[0][1].fields() == ["labels"]
