"""ResNet (He et al., CVPR 2016) and ResNeXt (Xie et al., CVPR 2017), without the classifier."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskrcnn_benchmark.layers import Conv2d, DFConv2d, FrozenBatchNorm2d, fused_conv
from maskrcnn_benchmark.modeling.backbone.checkpointing import checkpointed
from maskrcnn_benchmark.modeling.make_layers import NormMaker, kaiming_uniform


def conv_norm(
    conv: nn.Module,
    norm: nn.Module,
    x: Tensor,
    *,
    residual: Tensor | None = None,
    relu: bool = False,
) -> Tensor:
    """Return ``norm(conv(x)) + residual``, then with ReLU; in one pass if the norm is frozen."""
    if isinstance(norm, FrozenBatchNorm2d) and isinstance(conv, nn.Conv2d):
        return fused_conv(conv, x, norm=norm, residual=residual, relu=relu)
    x = norm(conv(x))
    if residual is not None:
        x = x.add_(residual)
    return F.relu_(x) if relu else x


@dataclass(frozen=True)
class BlockSpec:
    """Options shared by the blocks of all stages."""

    num_groups: int
    stride_in_1x1: bool
    norm: NormMaker
    modulated_dcn: bool
    deformable_groups: int


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
    """7x7 convolution and max pooling, with a total stride of 4."""

    def __init__(self, out_channels: int, norm: NormMaker) -> None:
        super().__init__()
        self.conv1 = _conv(3, out_channels, 7, stride=2)
        self.bn1 = norm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map images ``[N, 3, H, W]`` to ``[N, C, H/4, W/4]``."""
        return F.max_pool2d(conv_norm(self.conv1, self.bn1, x, relu=True), 3, stride=2, padding=1)


def _shortcut(downsample: nn.Sequential | None, x: Tensor) -> Tensor:
    return x if downsample is None else conv_norm(downsample[0], downsample[1], x)


class Bottleneck(nn.Module):
    """Residual block of 1x1, 3x3 and 1x1 convolutions."""

    def __init__(
        self,
        in_channels: int,
        bottleneck_channels: int,
        out_channels: int,
        *,
        spec: BlockSpec,
        stride: int = 1,
        dilation: int = 1,
        deformable: bool = False,
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
        geometry = {"stride": stride3, "dilation": dilation, "groups": spec.num_groups}
        self.conv2: nn.Module
        if deformable:
            self.conv2 = DFConv2d(
                bottleneck_channels,
                bottleneck_channels,
                modulated=spec.modulated_dcn,
                deformable_groups=spec.deformable_groups,
                **geometry,
            )
        else:
            self.conv2 = _conv(bottleneck_channels, bottleneck_channels, 3, **geometry)
        self.bn2 = spec.norm(bottleneck_channels)
        self.conv3 = _conv(bottleneck_channels, out_channels, 1)
        self.bn3 = spec.norm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, C_in, H, W]`` to ``[N, C_out, H/stride, W/stride]``."""
        out = conv_norm(self.conv1, self.bn1, x, relu=True)
        out = conv_norm(self.conv2, self.bn2, out, relu=True)
        shortcut = _shortcut(self.downsample, x)
        return conv_norm(self.conv3, self.bn3, out, residual=shortcut, relu=True)


class BasicBlock(nn.Module):
    """Residual block of two 3x3 convolutions, as in ResNet-18 and ResNet-34."""

    def __init__(
        self, in_channels: int, out_channels: int, *, spec: BlockSpec, stride: int = 1
    ) -> None:
        super().__init__()
        self.downsample: nn.Sequential | None = None
        if in_channels != out_channels or stride > 1:
            self.downsample = nn.Sequential(
                _conv(in_channels, out_channels, 1, stride=stride), spec.norm(out_channels)
            )
        self.conv1 = _conv(in_channels, out_channels, 3, stride=stride)
        self.bn1 = spec.norm(out_channels)
        self.conv2 = _conv(out_channels, out_channels, 3)
        self.bn2 = spec.norm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, C_in, H, W]`` to ``[N, C_out, H/stride, W/stride]``."""
        out = conv_norm(self.conv1, self.bn1, x, relu=True)
        shortcut = _shortcut(self.downsample, x)
        return conv_norm(self.conv2, self.bn2, out, residual=shortcut, relu=True)


@dataclass(frozen=True)
class StageSpec:
    """One of the stages ``layer1`` to ``layer4``.

    Attributes:
        count: number of blocks.
        in_channels: number of input channels.
        out_channels: number of output channels.
        width: number of channels of the 3x3 convolutions in bottlenecks.
        stride: stride of the first block.
        dilation: dilation of the 3x3 convolutions.
        deformable: whether the 3x3 convolutions in bottlenecks are deformable.
    """

    count: int
    in_channels: int
    out_channels: int
    width: int
    stride: int
    dilation: int
    deformable: bool


def make_stage(stage: StageSpec, spec: BlockSpec, *, basic: bool = False) -> nn.Sequential:
    """Build a stage of bottlenecks or, with ``basic``, of basic blocks."""
    blocks: list[nn.Module] = []
    for block in range(stage.count):
        in_channels = stage.in_channels if block == 0 else stage.out_channels
        stride = stage.stride if block == 0 else 1
        if basic:
            blocks.append(BasicBlock(in_channels, stage.out_channels, spec=spec, stride=stride))
        else:
            blocks.append(
                Bottleneck(
                    in_channels,
                    stage.width,
                    stage.out_channels,
                    spec=spec,
                    stride=stride,
                    dilation=stage.dilation,
                    deformable=stage.deformable,
                )
            )
    return nn.Sequential(*blocks)


class ResNet(nn.Module):
    """Stem and stages ``layer1`` to ``layerN``.

    Args:
        stages: the stages to build.
        spec: options shared by all blocks.
        stem_norm: normalization layer of the stem.
        basic: whether to use basic blocks instead of bottlenecks.
        return_stages: 1-based numbers of the stages whose output is returned.
        checkpointing: whether a gradient computes each part again, see ``checkpointed``.
    """

    def __init__(
        self,
        stages: Sequence[StageSpec],
        spec: BlockSpec,
        *,
        stem_norm: NormMaker,
        basic: bool = False,
        return_stages: Sequence[int] = (1, 2, 3, 4),
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.stem = Stem(stages[0].in_channels, stem_norm)
        self.return_stages = tuple(return_stages)
        self.checkpointing = checkpointing
        self.stages = [f"layer{number}" for number in range(1, len(stages) + 1)]
        self.stage_channels = [stage.out_channels for stage in stages]
        for name, stage in zip(self.stages, stages, strict=True):
            self.add_module(name, make_stage(stage, spec, basic=basic))

    def freeze(self, freeze_at: int) -> None:
        """Freeze the first ``freeze_at`` parts, where the stem is the first; 0 freezes nothing."""
        for name in ["stem", *self.stages][:freeze_at]:
            self.get_submodule(name).requires_grad_(False)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the feature maps of ``return_stages`` for images ``[N, 3, H, W]``."""
        outputs = []
        x = self._run(self.stem, x)
        for number, name in enumerate(self.stages, start=1):
            x = self._run(self.get_submodule(name), x)
            if number in self.return_stages:
                outputs.append(x)
        return outputs

    def _run(self, part: nn.Module, x: Tensor) -> Tensor:
        if self.checkpointing and torch.is_grad_enabled():
            return checkpointed(part, x)
        out: Tensor = part(x)
        return out
