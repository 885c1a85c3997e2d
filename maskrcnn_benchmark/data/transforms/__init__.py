"""Transforms of images and their targets."""

from maskrcnn_benchmark.data.transforms.build import (
    build_augmentation,
    build_normalization,
    build_transforms,
)
from maskrcnn_benchmark.data.transforms.color_jitter import ColorJitter
from maskrcnn_benchmark.data.transforms.large_scale_jitter import LargeScaleJitter
from maskrcnn_benchmark.data.transforms.transforms import (
    Compose,
    Normalize,
    RandomHorizontalFlip,
    RandomVerticalFlip,
    Resize,
    ToTensor,
    resized_size,
)
from maskrcnn_benchmark.data.transforms.views import build_test_views

__all__ = [
    "ColorJitter",
    "Compose",
    "LargeScaleJitter",
    "Normalize",
    "RandomHorizontalFlip",
    "RandomVerticalFlip",
    "Resize",
    "ToTensor",
    "build_augmentation",
    "build_normalization",
    "build_test_views",
    "build_transforms",
    "resized_size",
]
