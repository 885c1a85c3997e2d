"""Bodies from the timm library with FPN: ``MODEL.BACKBONE.CONV_BODY "timm:convnext_tiny"``."""

import importlib
from collections.abc import Iterator, Sequence
from functools import cache
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from yacs.config import CfgNode

from maskrcnn_benchmark.modeling.backbone.backbone import (
    Backbone,
    build_fpn_backbone,
    check_no_checkpointing,
)
from maskrcnn_benchmark.modeling.registry import BACKBONES
from maskrcnn_benchmark.utils.user_error import MissingPackageError

FAMILY = "timm:"
STRIDES = (4, 8, 16, 32)  # of the feature maps that the pyramid is built on
_PROBE = (64, 96)  # size of a non-square image, to test that a model accepts any size


class TimmBody(nn.Module):
    """Extract feature maps ``[N, C, H, W]`` at the strides 4, 8, 16 and 32 with a timm model.

    Args:
        name: model name as in ``timm.list_models()``; the weights are initialized randomly.
        freeze_batch_norm: whether to freeze the statistics and weights of BatchNorm, as is usual
            when a ResNet is fine-tuned with few images per batch.

    Attributes:
        stage_channels: number of channels of each feature map.

    Raises:
        MissingPackageError: timm is not installed.
        ValueError: timm has no such model, or the model lacks one of the strides, or it accepts a
            single image size only.
    """

    def __init__(self, name: str, *, freeze_batch_norm: bool) -> None:
        super().__init__()
        timm = _import_timm()
        with torch.device("meta"):  # no memory, no random draws
            features = _make_features(timm, name)
        strides = list(features.feature_info.reduction())
        if not set(STRIDES) <= set(strides):
            raise ValueError(
                f"MODEL.BACKBONE.CONV_BODY {FAMILY}{name} has feature maps with strides "
                f"{sorted(set(strides))}; the pyramid needs {STRIDES}: choose a model with all four"
            )
        last = {stride: index for index, stride in enumerate(strides)}  # deepest map per stride
        indices = tuple(last[stride] for stride in STRIDES)
        features = _make_features(timm, name, indices)
        if freeze_batch_norm:
            features = importlib.import_module("timm.layers").freeze_batch_norm_2d(features)
        self.features = features
        self.stage_channels: list[int] = list(features.feature_info.channels())

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the feature maps of images ``[N, 3, H, W]``, finest first."""
        return list(self.features(x))

    def freeze(self, stage: int) -> None:
        """Freeze the layers up to the map of stride ``2 ** stage``; 0 freezes nothing."""
        if stage == 0:
            return
        self.eval()  # BatchNorm must not learn from the probe
        level = self.forward(torch.zeros(1, 3, *_PROBE))[stage - 2]
        self.train()
        trained = [p for p in self.parameters() if p.requires_grad]
        gradients = torch.autograd.grad(level.sum(), trained, allow_unused=True)
        for parameter, gradient in zip(trained, gradients, strict=True):
            if gradient is not None:
                parameter.requires_grad_(False)


def _import_timm() -> ModuleType:
    try:
        return importlib.import_module("timm")
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f"MODEL.BACKBONE.CONV_BODY {FAMILY}... needs the timm package: pip install .[timm]"
        ) from error


def _make_features(timm: ModuleType, name: str, indices: Sequence[int] | None = None) -> Any:
    """Create a timm feature extractor that returns the given or all feature maps."""
    options: dict[str, Any] = {"features_only": True, "feature_cls": "getter"}
    if indices is not None:
        options["out_indices"] = tuple(indices)
    try:
        return _any_size(timm, name, options)
    except (RuntimeError, AttributeError, TypeError, AssertionError) as error:
        raise ValueError(
            f"MODEL.BACKBONE.CONV_BODY {FAMILY}{name} is not a model of timm {timm.__version__} "
            f"with feature maps ({str(error).partition(chr(10))[0]}); see timm.list_models()"
        ) from error


def _any_size(timm: ModuleType, name: str, options: dict[str, Any]) -> Any:
    """Create a model; a windowed one (Swin) is created without a fixed image size."""
    try:
        return timm.create_model(name, strict_img_size=False, **options)
    except TypeError as error:
        if "strict_img_size" not in str(error):
            raise
    return timm.create_model(name, **options)


def _make_body_name(cfg: CfgNode) -> str:
    return cfg.MODEL.BACKBONE.CONV_BODY.removeprefix(FAMILY)


def check_timm(cfg: CfgNode) -> Iterator[str]:
    """Yield the problems of the model name, its feature maps, and the number of frozen stages."""
    name, freeze = _make_body_name(cfg), cfg.MODEL.BACKBONE.FREEZE_CONV_BODY_AT
    if freeze not in (0, 2, 3, 4, 5):
        yield (
            f"MODEL.BACKBONE.FREEZE_CONV_BODY_AT is {freeze}; with {FAMILY}{name} it must be 0, or "
            "n from 2 to 5 to freeze the layers up to the feature map of stride 2 ** n"
        )
    yield from check_no_checkpointing(cfg)
    yield from _problems(name)


@cache
def _problems(name: str) -> tuple[str, ...]:
    """Return the problems of a timm model, found by running it on a non-square image."""
    body = f"MODEL.BACKBONE.CONV_BODY {FAMILY}{name}"
    try:
        with torch.device("meta"):
            maps = TimmBody(name, freeze_batch_norm=False)(torch.zeros(1, 3, *_PROBE))
    except ValueError as error:
        return (str(error),)
    except (RuntimeError, AssertionError) as error:
        why = str(error).partition("\n")[0]
        return (f"{body} does not accept images of any size ({why}): choose another model",)
    expected = [tuple(side // stride for side in _PROBE) for stride in STRIDES]
    found = [tuple(level.shape[2:]) for level in maps]
    if found != expected:
        return (
            f"{body} has feature maps of sizes {found} for an image of {_PROBE} pixels; FPN "
            f"needs {expected}: choose another model",
        )
    return ()


@BACKBONES.register(FAMILY, strides=(*STRIDES, 2 * STRIDES[-1]), check=check_timm)
def build_timm_backbone(cfg: CfgNode) -> Backbone:
    """Build a randomly initialized timm model with a feature pyramid."""
    body = TimmBody(_make_body_name(cfg), freeze_batch_norm=cfg.MODEL.TIMM.FREEZE_BN)
    body.freeze(cfg.MODEL.BACKBONE.FREEZE_CONV_BODY_AT)
    return build_fpn_backbone(cfg, body, body.stage_channels)
