"""Images of different sizes give the same results in a batch and alone, in both APIs."""

import numpy as np
import pytest
import torch
from PIL import Image

from maskrcnn_benchmark.data import make_data_loader
from maskrcnn_benchmark.engine.inference import compute_on_dataset
from maskrcnn_benchmark.evaluation.mode import evaluating
from maskrcnn_benchmark.predict.predictor import Predictor
from maskrcnn_benchmark.structures.image_list import to_image_list
from maskrcnn_benchmark.structures.mask_paste import Masker
from tests.data.helpers import square, write_coco
from tests.helpers.tiny_detector import save_checkpoint, tiny_config

# sizes with several padded shapes (short side 64, multiples of 32)
SIZES = [
    (100, 80),
    (60, 120),
    (99, 81),
    (64, 64),
    (61, 119),
    (90, 64),
    (70, 70),
    (101, 80),
    (33, 31),
]
# batched convolutions may sum in a different order
TOLERANCE = {"rtol": 1e-4, "atol": 1e-3}
FIELDS = ("labels", "scores", "mask_ious", "mask_scores")


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    return Predictor.from_checkpoint(save_checkpoint(tmp_path_factory.mktemp("m"), tiny_config()))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    images = [(width, height, [square(2, 3, 20)]) for width, height in SIZES]
    ann_file, folder = write_coco(tmp_path_factory.mktemp("data"), images)
    rng = np.random.default_rng(0)
    for index, (width, height) in enumerate(SIZES):  # noise: each image has its own detections
        pixels = rng.integers(256, size=(height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((width, height)).save(folder / f"{index}.png")
    return ann_file, folder


def evaluated(predictor, data, batch_size):
    cfg = tiny_config()
    files = {"ANN_FILE": str(data[0]), "IMG_DIR": str(data[1])}
    cfg.merge_from_other_cfg({"DATASETS": {"TEST": ("own",), "CUSTOM": {"own": files}}})
    cfg.merge_from_list(["TEST.IMS_PER_BATCH", batch_size, "DATALOADER.NUM_WORKERS", 0])
    (loader,) = make_data_loader(cfg, is_train=False)
    found = compute_on_dataset(predictor.model, loader, "cpu", Masker())
    return [found[index] for index in range(len(SIZES))], len(loader)


def test_evaluation_does_not_depend_on_the_batch_size(predictor, data):
    alone, count = evaluated(predictor, data, 1)
    together, batches = evaluated(predictor, data, 4)
    assert count == len(SIZES) > batches
    for one, other in zip(alone, together, strict=True):
        assert one.size == other.size
        torch.testing.assert_close(one.bbox, other.bbox, **TOLERANCE)
        for name in FIELDS:
            torch.testing.assert_close(one.get_field(name), other.get_field(name), **TOLERANCE)


def test_prediction_does_not_depend_on_the_batch_size(predictor, data):
    paths = [data[1] / f"{index}.png" for index in range(len(SIZES))]
    shapes = []
    hook = predictor.model.register_forward_pre_hook(
        lambda _, inputs: shapes.append(tuple(inputs[0].tensors.shape))
    )
    together = list(predictor.stream(paths, batch_size=4))
    hook.remove()
    assert len(shapes) < len(SIZES)
    assert max(shape[0] for shape in shapes) > 1
    for path, size, got in zip(paths, SIZES, together, strict=True):
        expected = predictor(path)
        assert got.size == expected.size == size  # in the order of the input
        np.testing.assert_allclose(got.boxes, expected.boxes, **TOLERANCE)
        for name in ("labels", "scores", "mask_ious", "mask_scores", "soft_masks"):
            np.testing.assert_allclose(getattr(got, name), getattr(expected, name), **TOLERANCE)


def test_another_padding_would_move_the_boxes(predictor, data):
    """Otherwise the tests above would be vacuous."""
    images = [Image.open(data[1] / f"{index}.png").convert("RGB") for index in range(4)]
    tensors = [predictor.transforms(image)[0] for image in images]
    with evaluating(predictor.model):
        together = predictor.model(to_image_list(tensors, 32))
        alone = [predictor.model(to_image_list([tensor], 32))[0] for tensor in tensors]
    moved = [(a.bbox - b.bbox).abs().max() for a, b in zip(together, alone, strict=True)]
    assert max(moved) > 1
