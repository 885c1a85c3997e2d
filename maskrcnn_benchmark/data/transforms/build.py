"""Build transforms from the configuration."""

from yacs.config import CfgNode

from maskrcnn_benchmark.data.transforms.color_jitter import ColorJitter
from maskrcnn_benchmark.data.transforms.large_scale_jitter import LargeScaleJitter
from maskrcnn_benchmark.data.transforms.transforms import (
    Compose,
    Normalize,
    RandomHorizontalFlip,
    RandomVerticalFlip,
    Resize,
    ToTensor,
    Transform,
)


def build_transforms(cfg: CfgNode, is_train: bool = True) -> Compose:
    """Build resizing, augmentation (in training) and normalization from ``INPUT``."""
    first = build_augmentation(cfg) if is_train else build_test_resize(cfg)
    return Compose([first, build_normalization(cfg)])


def build_normalization(cfg: CfgNode) -> Compose:
    """Build the conversion of PIL images to normalized tensors."""
    inputs = cfg.INPUT
    normalize = Normalize(inputs.PIXEL_MEAN, inputs.PIXEL_STD, to_bgr255=inputs.TO_BGR255)
    return Compose([ToTensor(), normalize])


def build_augmentation(cfg: CfgNode) -> Compose:
    """Build the color jitter, resizing and flips of training images, which stay PIL images."""
    inputs = cfg.INPUT
    colors = ColorJitter(
        brightness=inputs.BRIGHTNESS,
        contrast=inputs.CONTRAST,
        saturation=inputs.SATURATION,
        hue=inputs.HUE,
    )
    flips = [
        RandomHorizontalFlip(inputs.HORIZONTAL_FLIP_PROB_TRAIN),
        RandomVerticalFlip(inputs.VERTICAL_FLIP_PROB_TRAIN),
    ]
    return Compose([colors, _build_resize(cfg), *flips])


def build_test_resize(cfg: CfgNode) -> Resize:
    """Build the resizing of test images."""
    inputs = cfg.INPUT
    return Resize(inputs.MIN_SIZE_TEST, inputs.MAX_SIZE_TEST, inputs.SIZE_ROUNDING)


def _build_resize(cfg: CfgNode) -> Transform:
    """Build the resizing of training images."""
    inputs = cfg.INPUT
    jitter = inputs.LARGE_SCALE_JITTER
    if not jitter.ENABLED:
        return Resize(inputs.MIN_SIZE_TRAIN, inputs.MAX_SIZE_TRAIN, inputs.SIZE_ROUNDING)
    mean = inputs.PIXEL_MEAN[::-1] if inputs.TO_BGR255 else [255 * m for m in inputs.PIXEL_MEAN]
    red, green, blue = (min(max(round(value), 0), 255) for value in mean)
    return LargeScaleJitter(jitter.SIZE, jitter.SCALES, fill=(red, green, blue))
