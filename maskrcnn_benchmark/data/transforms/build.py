"""The transforms that the configuration asks for."""

from __future__ import annotations

from yacs.config import CfgNode

from maskrcnn_benchmark.data.transforms.transforms import (
    Compose,
    Normalize,
    RandomHorizontalFlip,
    Resize,
    ToTensor,
)


def build_transforms(cfg: CfgNode, is_train: bool = True) -> Compose:
    """Build resizing, mirroring (in training) and normalisation from ``INPUT``."""
    inputs = cfg.INPUT
    min_size = inputs.MIN_SIZE_TRAIN if is_train else inputs.MIN_SIZE_TEST
    max_size = inputs.MAX_SIZE_TRAIN if is_train else inputs.MAX_SIZE_TEST
    return Compose(
        [
            Resize(min_size, max_size),
            RandomHorizontalFlip(inputs.HORIZONTAL_FLIP_PROB_TRAIN if is_train else 0.0),
            ToTensor(),
            Normalize(inputs.PIXEL_MEAN, inputs.PIXEL_STD, to_bgr255=inputs.TO_BGR255),
        ]
    )
