"""ResNet (He et al., CVPR 2016) and ResNeXt without the classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn
from yacs.config import CfgNode

from maskrcnn_benchmark.layers import Conv2d, FrozenBatchNorm2d
from maskrcnn_benchmark.modeling.make_layers import NormMaker, kaiming_uniform, make_group_norm

# number of blocks in the stages layer1 .. layer4
BLOCK_COUNTS = {"R-50": (3, 4, 6, 3), "R-101": (3, 4, 23, 3)}


def conv_norm(conv: nn.Module, norm: nn.Module, x: Tensor) -> Tensor:
    """Return ``norm(conv(x))``; a frozen norm is folded into the convolution's weights."""
    if not isinstance(norm, FrozenBatchNorm2d) or not isinstance(conv, nn.Conv2d):
        return norm(conv(x))
    scale, shift = norm.scale_and_shift()
    weight = conv.weight * scale[:, None, None, None].to(conv.weight)
    return F.conv2d(
        x,
        weight,
        shift.to(conv.weight),
        conv.stride,
        conv.padding,  # type: ignore[arg-type]
        conv.dilation,
        conv.groups,
    )


@dataclass(frozen=True)
class BlockSpec:
    """What the blocks of all stages have in common."""

    num_groups: int
    stride_in_1x1: bool
    norm: NormMaker


def _conv(
    in_channels: int,
    out_channels: int,
    kernel: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
) -> Conv2d:
    conv = Conv2d(
        in_channels,
        out_channels,
        kernel,
        stride,
        padding=dilation * (kernel // 2),
        dilation=dilation,
        groups=groups,
        bias=False,
    )
    kaiming_uniform(conv)
    return conv


class Stem(nn.Module):
    """7x7 convolution and max-pooling: a fourth of the image's size."""

    def __init__(self, out_channels: int, norm: NormMaker) -> None:
        super().__init__()
        self.conv1 = _conv(3, out_channels, 7, stride=2)
        self.bn1 = norm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map images ``[N, 3, H, W]`` to ``[N, C, H/4, W/4]``."""
        return F.max_pool2d(F.relu_(conv_norm(self.conv1, self.bn1, x)), 3, stride=2, padding=1)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolution beside a shortcut."""

    def __init__(
        self,
        in_channels: int,
        bottleneck_channels: int,
        out_channels: int,
        *,
        spec: BlockSpec,
        stride: int = 1,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        self.downsample: nn.Sequential | None = None
        if in_channels != out_channels:
            self.downsample = nn.Sequential(
                _conv(in_channels, out_channels, 1, stride=stride), spec.norm(out_channels)
            )
        # Caffe's ResNets have the stride in the first 1x1 convolution, torchvision's in the 3x3
        stride1, stride3 = (stride, 1) if spec.stride_in_1x1 else (1, stride)
        self.conv1 = _conv(in_channels, bottleneck_channels, 1, stride=stride1)
        self.bn1 = spec.norm(bottleneck_channels)
        self.conv2 = _conv(
            bottleneck_channels,
            bottleneck_channels,
            3,
            stride=stride3,
            dilation=dilation,
            groups=spec.num_groups,
        )
        self.bn2 = spec.norm(bottleneck_channels)
        self.conv3 = _conv(bottleneck_channels, out_channels, 1)
        self.bn3 = spec.norm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, C_in, H, W]`` to ``[N, C_out, H/stride, W/stride]``."""
        out = F.relu_(conv_norm(self.conv1, self.bn1, x))
        out = F.relu_(conv_norm(self.conv2, self.bn2, out))
        out = conv_norm(self.conv3, self.bn3, out)
        if self.downsample is None:
            shortcut = x
        else:
            shortcut = conv_norm(self.downsample[0], self.downsample[1], x)
        return F.relu_(out.add_(shortcut))


class ResNet(nn.Module):
    """Stem and stages ``layer1`` to ``layerN``.

    Args:
        block_counts: blocks of each stage; as many stages are built.
        spec: what the blocks have in common.
        stem_norm: the norm of the stem.
        stem_out_channels: channels after the stem.
        res2_out_channels: channels after ``layer1``; each further stage doubles them.
        width_per_group: width of a group in the bottlenecks of ``layer1``.
        res5_dilation: dilation of ``layer4``; 2 keeps the size of ``layer3``.
        return_stages: numbers (1 based) of the stages whose output is returned.
    """

    def __init__(
        self,
        block_counts: Sequence[int],
        spec: BlockSpec,
        *,
        stem_norm: NormMaker,
        stem_out_channels: int = 64,
        res2_out_channels: int = 256,
        width_per_group: int = 64,
        res5_dilation: int = 1,
        return_stages: Sequence[int] = (1, 2, 3, 4),
    ) -> None:
        super().__init__()
        self.stem = Stem(stem_out_channels, stem_norm)
        self.return_stages = tuple(return_stages)
        self.stages: list[str] = []
        self.stage_channels: list[int] = []
        in_channels = stem_out_channels
        for number, count in enumerate(block_counts, start=1):
            dilation = res5_dilation if number == 4 else 1
            out_channels = res2_out_channels * 2 ** (number - 1)
            bottleneck = spec.num_groups * width_per_group * 2 ** (number - 1)
            blocks = [
                Bottleneck(
                    in_channels if block == 0 else out_channels,
                    bottleneck,
                    out_channels,
                    spec=spec,
                    stride=2 if block == 0 and number > 1 and dilation == 1 else 1,
                    dilation=dilation,
                )
                for block in range(count)
            ]
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
            self.stages.append(f"layer{number}")
            self.stage_channels.append(out_channels)
            in_channels = out_channels

    def freeze(self, freeze_at: int) -> None:
        """Stop training the stem (>= 1) and the stages before number ``freeze_at``."""
        for name in ["stem", *self.stages][:freeze_at]:
            self.get_submodule(name).requires_grad_(False)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the feature maps of ``return_stages`` for images ``[N, 3, H, W]``."""
        outputs = []
        x = self.stem(x)
        for number, name in enumerate(self.stages, start=1):
            x = self.get_submodule(name)(x)
            if number in self.return_stages:
                outputs.append(x)
        return outputs


def make_norm(cfg: CfgNode, function: str) -> NormMaker:
    """Return the norm that a ``TRANS_FUNC`` or ``STEM_FUNC`` names.

    Raises:
        ValueError: the name is unknown.
    """
    if function.endswith("WithFixedBatchNorm"):
        return FrozenBatchNorm2d
    if function.endswith("WithGN"):
        return make_group_norm(cfg)
    raise ValueError(
        f"MODEL.RESNETS: unknown function {function!r}; ...WithFixedBatchNorm or WithGN"
    )


def build_resnet(cfg: CfgNode) -> ResNet:
    """Build the body that ``MODEL.BACKBONE.CONV_BODY`` names: ``R-50-C4``, ``R-101-FPN``, ...

    Raises:
        ValueError: the name is unknown.
    """
    body = cfg.MODEL.BACKBONE.CONV_BODY
    depth, _, stage = body.rpartition("-")
    last_stages = {"C4": (3,), "C5": (4,), "FPN": (1, 2, 3, 4)}
    if depth not in BLOCK_COUNTS or stage not in last_stages:
        known = [f"{d}-{s}" for d in BLOCK_COUNTS for s in last_stages]
        raise ValueError(f"MODEL.BACKBONE.CONV_BODY {body!r} is unknown; known are {known}")
    options = cfg.MODEL.RESNETS
    resnet = ResNet(
        BLOCK_COUNTS[depth][: last_stages[stage][-1]],
        BlockSpec(options.NUM_GROUPS, options.STRIDE_IN_1X1, make_norm(cfg, options.TRANS_FUNC)),
        stem_norm=make_norm(cfg, options.STEM_FUNC),
        stem_out_channels=options.STEM_OUT_CHANNELS,
        res2_out_channels=options.RES2_OUT_CHANNELS,
        width_per_group=options.WIDTH_PER_GROUP,
        res5_dilation=options.RES5_DILATION,
        return_stages=last_stages[stage],
    )
    resnet.freeze(cfg.MODEL.BACKBONE.FREEZE_CONV_BODY_AT)
    return resnet
