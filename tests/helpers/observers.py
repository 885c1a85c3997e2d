"""Observations of the data loaders and transforms of a config."""

import colorsys
import multiprocessing
import random
from typing import Any

import numpy as np
from PIL import Image
from yacs.config import CfgNode

from maskrcnn_benchmark.data import make_data_loader
from maskrcnn_benchmark.data.transforms import build_transforms

_SPLITS = {"train": True, "test": False}


def _uniform(color: tuple[int, int, int], width: int = 8, height: int = 8) -> Image.Image:
    return Image.new("RGB", (width, height), color)


def sizes(config: CfgNode) -> dict[str, set[tuple[int, int]]]:
    """Return the sizes (height, width) of a resized 120 x 60 image over several draws."""
    image = _uniform((0, 0, 0), 120, 60)
    return {
        split: {
            tuple(build_transforms(config, train)(image, None, random.Random(i))[0].shape[1:])
            for i in range(12)
        }
        for split, train in _SPLITS.items()
    }


def pixel(config: CfgNode) -> dict[str, list[float]]:
    """Return the normalized values of the color (R, G, B) = (51, 102, 204)."""
    return {
        split: [
            round(float(channel.mean()), 4)
            for channel in build_transforms(config, train)(_uniform((51, 102, 204)))[0]
        ]
        for split, train in _SPLITS.items()
    }


def mirrored(config: CfgNode) -> dict[str, tuple[int, int]]:
    """Return how many of 200 images are flipped horizontally, and vertically."""
    image = _uniform((0, 0, 0))
    image.paste((255, 255, 255), (0, 0, 4, 4))  # the upper left quarter
    found = {}
    for split, train in _SPLITS.items():
        transforms = build_transforms(config, train)
        tensors = [transforms(image, None, random.Random(i))[0][0] for i in range(200)]
        rows = [tensor.mean(1) for tensor in tensors]
        columns = [tensor.mean(0) for tensor in tensors]
        found[split] = (
            sum(bool(column[0] < column[-1]) for column in columns),
            sum(bool(row[0] < row[-1]) for row in rows),
        )
    return found


def colors(config: CfgNode) -> dict[str, Any]:
    """How far colors move over 100 draws: rounded to a tenth.

    ``gray`` moves with the brightness alone; ``gap`` between two grays at their common mean with
    the contrast (and the brightness), ``saturation`` with contrast and saturation, ``hue`` alone.
    """
    found: dict[str, Any] = {}
    halves = _uniform((50, 50, 50))
    halves.paste((150, 150, 150), (0, 0, 8, 4))
    transforms = build_transforms(config, is_train=True)

    def draws(image: Image.Image) -> list[Any]:
        raw = [transforms(image, None, random.Random(i))[0] for i in range(100)]
        return [tensor.flip(0).numpy() for tensor in raw]  # RGB again

    def limits(values: list[float]) -> tuple[float, float]:
        return round(min(values), 1), round(max(values), 1)

    found["gray"] = limits([t.mean() / 100 for t in draws(_uniform((100, 100, 100)))])
    found["gap"] = limits([(t.max() - t.min()) / 100 for t in draws(halves)])
    hsv = [colorsys.rgb_to_hsv(*t.mean((1, 2)) / 255) for t in draws(_uniform((140, 60, 60)))]
    found["saturation"] = limits([s / (80 / 140) for _, s, _ in hsv])
    found["hue"] = limits([(h + 0.5) % 1 - 0.5 for h, _, _ in hsv])
    found["test"] = round(float(build_transforms(config, False)(halves)[0].mean()))
    return found


def covered(config: CfgNode) -> tuple[int, int, float]:
    """Height and width of what becomes of a white image of 120 x 60, and the share of white."""
    made = build_transforms(config)(_uniform((255, 255, 255), 120, 60), None, random.Random(0))[0]
    return made.shape[1], made.shape[2], round(float((made > 100).float().mean()), 2)


def train_files(config: CfgNode) -> list[str]:
    """Return the sorted names of the training images."""
    return _files(make_data_loader(config).dataset)


def test_files(config: CfgNode) -> list[list[str]]:
    """Return the sorted image names of each test set."""
    return [_files(loader.dataset) for loader in make_data_loader(config, is_train=False)]


test_files.__test__ = False  # type: ignore[attr-defined]


def _files(dataset: Any) -> list[str]:
    return sorted(dataset.get_img_info(i)["file_name"] for i in range(len(dataset)))


def batches(config: CfgNode) -> list[tuple[int, ...]]:
    """Return the image indices of each training batch."""
    return [tuple(map(int, indices)) for _, _, indices in make_data_loader(config)]


def batch_sizes(config: CfgNode) -> dict[str, list[int]]:
    """Return the number of images in each batch."""
    (tested,) = make_data_loader(config, is_train=False)
    return {
        "train": [len(indices) for _, _, indices in make_data_loader(config)],
        "test": [len(indices) for _, _, indices in tested],
    }


def mixed_batches(config: CfgNode) -> bool:
    """Return whether any training batch mixes portrait and landscape images."""
    shapes = [{h >= w for h, w in images.image_sizes} for images, _, _ in make_data_loader(config)]
    return any(len(kinds) == 2 for kinds in shapes)


def padded(config: CfgNode) -> set[int]:
    """Return the padded sides modulo 32 over all test batches."""
    (loader,) = make_data_loader(config, is_train=False)
    return {side % 32 for images, _, _ in loader for side in images.tensors.shape[2:]}


def workers(config: CfgNode) -> int:
    """Return the number of worker processes while a batch is loaded."""
    before = set(multiprocessing.active_children())
    (loader,) = make_data_loader(config, is_train=False)
    iterator = iter(loader)
    next(iterator)
    return len(set(multiprocessing.active_children()) - before)


def augmented(config: CfgNode) -> str:
    """Return one number that depends on order and augmentation of the first batch."""
    images, _, _ = next(iter(make_data_loader(config)))
    return f"{np.float64(images.tensors.double().sum()):.3f}"
