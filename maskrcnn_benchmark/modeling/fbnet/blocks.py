"""Convolutions and inverted residual blocks of mobile networks (MobileNetV2, FBNet)."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from yacs.config import CfgNode

from maskrcnn_benchmark.layers import BatchNorm2d, Conv2d, FrozenBatchNorm2d, interpolate
from maskrcnn_benchmark.modeling.fbnet.architectures import Block
from maskrcnn_benchmark.modeling.make_layers import NormMaker, kaiming_normal, make_group_norm

BN_TYPES = ("bn", "af", "gn")


def conv_norm_relu(conv: nn.Conv2d, norm: NormMaker | None, *, relu: bool = True) -> nn.Sequential:
    """Return a convolution ``conv`` followed by a normalization ``bn`` and a ReLU ``relu``.

    Args:
        conv: the convolution, which is initialized.
        norm: makes the normalization; None for none.
        relu: whether to add the ReLU.
    """
    kaiming_normal(conv)
    layers: OrderedDict[str, nn.Module] = OrderedDict(conv=conv)
    if norm is not None:
        layers["bn"] = norm(conv.out_channels)
    if relu:
        layers["relu"] = nn.ReLU(inplace=True)
    return nn.Sequential(layers)


class InvertedResidual(nn.Module):
    """Expand ``pw``, filter each channel ``dw``, project ``pwl``; add the input if it fits.

    Args:
        in_channels: number of channels of the input.
        width: number of channels of the depthwise convolution.
        out_channels: number of channels of the output.
        block: kernel and stride.
        norm: makes the normalization of the 1x1 convolutions.
        dw_norm: makes that of the depthwise convolution; None for none.
        dw_relu: whether a ReLU follows the depthwise convolution.
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        out_channels: int,
        block: Block,
        *,
        norm: NormMaker,
        dw_norm: NormMaker | None,
        dw_relu: bool,
    ) -> None:
        super().__init__()
        self.adds_input = block.stride == 1 and in_channels == out_channels
        self.upsampling = max(-block.stride, 1)
        self.pw = conv_norm_relu(Conv2d(in_channels, width, 1, bias=False), norm)
        depthwise = Conv2d(
            width,
            width,
            block.kernel,
            max(block.stride, 1),
            block.kernel // 2,
            groups=width,
            bias=False,
        )
        self.dw = conv_norm_relu(depthwise, dw_norm, relu=dw_relu)
        self.pwl = conv_norm_relu(Conv2d(width, out_channels, 1, bias=False), norm, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features ``[N, C', H', W']`` of features ``[N, C, H, W]``."""
        y = self.pw(x)
        if self.upsampling > 1:
            y = interpolate(y, scale_factor=float(self.upsampling), mode="nearest")
        y = self.pwl(self.dw(y))
        return y + x if self.adds_input else y


@dataclass(frozen=True)
class BlockBuilder:
    """Options shared by the layers of a body or head.

    Attributes:
        norm: makes the normalization.
        scale: factor of the widths.
        divisor: widths are rounded to the nearest multiple of it, at least one.
        dw_norm: whether a normalization follows the depthwise convolutions.
        dw_relu: whether a ReLU follows them.
    """

    norm: NormMaker
    scale: float
    divisor: int
    dw_norm: bool
    dw_relu: bool

    def width(self, channels: float) -> int:
        """Return a width rounded to the divisor; halves are rounded up."""
        whole = int(channels)
        return max((2 * whole + self.divisor) // (2 * self.divisor), 1) * self.divisor

    def first(self, channels: int, stride: int) -> tuple[nn.Sequential, int]:
        """Return the first convolution, 3x3, for images, and its number of channels."""
        width = self.width(channels * self.scale)
        return conv_norm_relu(Conv2d(3, width, 3, stride, 1, bias=False), self.norm), width

    def blocks(self, in_channels: int, blocks: Sequence[Block]) -> tuple[nn.Sequential, int]:
        """Return the blocks by name, and the number of channels of the last one."""
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for block in blocks:
            out_channels = self.width(block.channels * self.scale)
            layers[block.name] = InvertedResidual(
                in_channels,
                self.width(in_channels * block.expansion),
                out_channels,
                block,
                norm=self.norm,
                dw_norm=self.norm if self.dw_norm else None,
                dw_relu=self.dw_relu,
            )
            in_channels = out_channels
        return nn.Sequential(layers), in_channels

    def last(
        self, in_channels: int, channels: int, channel_scale: float
    ) -> tuple[nn.Sequential, int]:
        """Return the last 1x1 convolution of a head, and its number of channels.

        Args:
            in_channels: number of channels of the last block.
            channels: width in the architecture.
            channel_scale: see ``MODEL.FBNET.DET_HEAD_LAST_SCALE``; without a width there is no
                convolution.
        """
        wanted = channels * max(self.scale, 1) if channel_scale > 0 else in_channels
        if not (wanted and channel_scale):
            return nn.Sequential(), in_channels
        width = self.width(wanted * abs(channel_scale))
        return conv_norm_relu(Conv2d(in_channels, width, 1, bias=False), self.norm), width


def make_block_builder(cfg: CfgNode, bn_type: str = "") -> BlockBuilder:
    """Return the options of ``MODEL.FBNET``.

    Args:
        cfg: the config.
        bn_type: ``bn``, ``af`` or ``gn``; "" for ``MODEL.FBNET.BN_TYPE``.
    """
    options = cfg.MODEL.FBNET
    norms: dict[str, NormMaker] = {
        "bn": BatchNorm2d,
        "af": FrozenBatchNorm2d,
        "gn": make_group_norm(cfg),
    }
    return BlockBuilder(
        norm=norms[bn_type or options.BN_TYPE],
        scale=options.SCALE_FACTOR,
        divisor=options.WIDTH_DIVISOR,
        dw_norm=not options.DW_CONV_SKIP_BN,
        dw_relu=not options.DW_CONV_SKIP_RELU,
    )
