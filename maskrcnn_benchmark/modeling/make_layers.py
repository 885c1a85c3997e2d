"""Convolutions and linear layers with weight initialization and optional normalization."""

from collections.abc import Callable, Iterator
from functools import partial

from torch import nn
from yacs.config import CfgNode

from maskrcnn_benchmark.layers import Conv2d, FrozenBatchNorm2d, TrainableBatchNorm2d

NormMaker = Callable[[int], nn.Module]
NORMS = ("FrozenBN", "BN", "SyncBN", "GN")  # values of MODEL.*.NORM, beside ""


def group_norm(
    channels: int, *, num_groups: int = 32, dim_per_group: int = -1, eps: float = 1e-5
) -> nn.GroupNorm:
    """Return a GroupNorm with ``num_groups`` groups, or ``dim_per_group`` channels per group.

    Raises:
        ValueError: the channels are not divisible, or not exactly one of the two is positive.
    """
    if dim_per_group > 0 and num_groups > 0:
        raise ValueError(
            f"MODEL.GROUP_NORM: set DIM_PER_GP={dim_per_group} or NUM_GROUPS={num_groups} "
            "and the other to -1"
        )
    groups = channels // dim_per_group if dim_per_group > 0 else num_groups
    if groups <= 0 or channels % groups or (dim_per_group > 0 and channels % dim_per_group):
        raise ValueError(
            f"MODEL.GROUP_NORM: {channels} channels are not divisible into groups "
            f"(NUM_GROUPS={num_groups}, DIM_PER_GP={dim_per_group})"
        )
    return nn.GroupNorm(groups, channels, eps)


def make_group_norm(cfg: CfgNode) -> NormMaker:
    """Return a factory that makes the ``MODEL.GROUP_NORM`` layer for a number of channels."""
    group = cfg.MODEL.GROUP_NORM
    return partial(
        group_norm, num_groups=group.NUM_GROUPS, dim_per_group=group.DIM_PER_GP, eps=group.EPSILON
    )


def make_norm(cfg: CfgNode, section: CfgNode) -> NormMaker | None:
    """Return the factory of the normalization of a part, given by its ``NORM`` or ``USE_GN``.

    Args:
        cfg: the config, for ``MODEL.GROUP_NORM``.
        section: the part, such as ``cfg.MODEL.FPN``.

    Raises:
        ValueError: the name is unknown.
    """
    if section.NORM:
        return make_named_norm(cfg, section.NORM)
    return make_group_norm(cfg) if section.USE_GN else None


def make_named_norm(cfg: CfgNode, name: str) -> NormMaker:
    """Return the factory of one of ``NORMS``.

    Raises:
        ValueError: the name is unknown.
    """
    if name not in NORMS:
        raise ValueError(f"NORM is {name!r}; it must be one of {', '.join(NORMS)}")
    makers: dict[str, NormMaker] = {
        "FrozenBN": FrozenBatchNorm2d,
        "BN": TrainableBatchNorm2d,
        "SyncBN": partial(TrainableBatchNorm2d, synchronized=True),
        "GN": make_group_norm(cfg),
    }
    return makers[name]


def check_norms(cfg: CfgNode) -> Iterator[str]:
    """Yield the problems of ``NORM`` in each part of the model."""
    for part in ("RESNETS", "FPN", "ROI_BOX_HEAD", "ROI_MASK_HEAD"):
        section = cfg.MODEL[part]
        if section.NORM and section.NORM not in NORMS:
            yield (
                f"MODEL.{part}.NORM is {section.NORM!r}; it must be one of {', '.join(NORMS)}, or "
                '"" for the setting of earlier versions'
            )
        elif section.NORM and section.get("USE_GN"):
            yield (
                f"MODEL.{part}.NORM is {section.NORM!r} and USE_GN True: set only one of them "
                "(NORM GN has the effect of USE_GN)"
            )


def kaiming_uniform(layer: nn.Conv2d | nn.Linear) -> None:
    """Initialize like Caffe2's XavierFill: uniform with variance 1 / fan_in; bias 0."""
    nn.init.kaiming_uniform_(layer.weight, a=1)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def kaiming_normal(layer: nn.Conv2d | nn.ConvTranspose2d) -> None:
    """Initialize like Caffe2's MSRAFill: normal with variance 2 / fan_out; bias 0."""
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def conv3x3(
    in_channels: int,
    out_channels: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    norm: NormMaker | None = None,
) -> nn.Module:
    """Return a 3x3 convolution of a head; with ``norm``, without bias and followed by it."""
    conv = Conv2d(
        in_channels, out_channels, 3, stride, dilation, dilation=dilation, bias=norm is None
    )
    kaiming_normal(conv)
    return conv if norm is None else nn.Sequential(conv, norm(out_channels))


def linear(in_features: int, out_features: int, *, norm: NormMaker | None = None) -> nn.Module:
    """Return a linear layer of a head; with ``norm``, without bias and followed by it."""
    layer = nn.Linear(in_features, out_features, bias=norm is None)
    kaiming_uniform(layer)
    return layer if norm is None else nn.Sequential(layer, norm(out_features))
