"""Feature Pyramid Network (Lin et al., CVPR 2017)."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from maskrcnn_benchmark.layers import Conv2d, fused_conv
from maskrcnn_benchmark.modeling.make_layers import NormMaker, kaiming_uniform


def _conv(
    in_channels: int, out_channels: int, kernel: int, norm: NormMaker | None, relu: bool
) -> nn.Module:
    conv = Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=norm is None)
    kaiming_uniform(conv)
    layers: list[nn.Module] = [conv]
    if norm is not None:
        layers.append(norm(out_channels))
    if relu:
        layers.append(nn.ReLU(inplace=True))
    return conv if len(layers) == 1 else nn.Sequential(*layers)


def _apply(layer: nn.Module, x: Tensor, top_down: Tensor | None = None) -> Tensor:
    """Return ``layer(x) + top_down``."""
    if isinstance(layer, nn.Conv2d):
        return fused_conv(layer, x, residual=top_down)
    return layer(x) if top_down is None else layer(x) + top_down


class SubsampledLevel(nn.Module):
    """P6 as P5 subsampled by 2: one more level, for the largest anchors of the RPN."""

    def forward(self, c5: Tensor, p5: Tensor) -> list[Tensor]:
        """Return P6 ``[N, C, H/2, W/2]`` of P5 ``[N, C, H, W]``."""
        del c5
        return [F.max_pool2d(p5, kernel_size=1, stride=2)]


class ConvolvedLevels(nn.Module):
    """P6 and P7 by 3x3 convolutions with stride 2 (RetinaNet, section 4).

    Args:
        in_channels: number of channels of the level that P6 is computed from.
        out_channels: number of channels of P6 and P7.
        from_c5: whether P6 is computed from the body's coarsest level instead of from P5.
    """

    def __init__(self, in_channels: int, out_channels: int, *, from_c5: bool) -> None:
        super().__init__()
        self.from_c5 = from_c5
        self.p6 = Conv2d(in_channels, out_channels, 3, stride=2, padding=1)
        self.p7 = Conv2d(out_channels, out_channels, 3, stride=2, padding=1)
        for conv in (self.p6, self.p7):
            kaiming_uniform(conv)

    def forward(self, c5: Tensor, p5: Tensor) -> list[Tensor]:
        """Return P6 ``[N, C, H/2, W/2]``, without a ReLU, and P7 ``[N, C, H/4, W/4]``."""
        p6 = self.p6(c5 if self.from_c5 else p5)
        return [p6, self.p7(F.relu(p6))]


class FPN(nn.Module):
    """Lateral 1x1 convolutions, a top-down path with nearest upsampling, and 3x3 convolutions.

    Args:
        in_channels_list: number of channels of each input level, finest first.
        out_channels: number of channels of every output level.
        norm: normalization layer after each convolution, if any.
        relu: whether a ReLU follows each convolution.
        finest: number of the first input level, which is part of the names of the layers.
        top_blocks: adds coarser levels, see ``ConvolvedLevels``; None: ``SubsampledLevel``.
    """

    def __init__(
        self,
        in_channels_list: Sequence[int],
        out_channels: int,
        *,
        norm: NormMaker | None = None,
        relu: bool = False,
        finest: int = 1,
        top_blocks: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.levels = range(finest, finest + len(in_channels_list))
        for level, in_channels in zip(self.levels, in_channels_list, strict=True):
            inner = _conv(in_channels, out_channels, 1, norm, relu)
            self.add_module(f"fpn_inner{level}", inner)
            self.add_module(f"fpn_layer{level}", _conv(out_channels, out_channels, 3, norm, relu))
        self.top_blocks = SubsampledLevel() if top_blocks is None else top_blocks

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Map levels ``[N, C_i, H_i, W_i]``, finest first, to the pyramid with coarser levels."""
        levels: list[Tensor] = []
        top_down: Tensor | None = None
        for number, feature in zip(reversed(self.levels), reversed(features), strict=True):
            if top_down is not None:
                top_down = F.interpolate(top_down, size=feature.shape[-2:], mode="nearest")
            top_down = _apply(self.get_submodule(f"fpn_inner{number}"), feature, top_down)
            levels.insert(0, _apply(self.get_submodule(f"fpn_layer{number}"), top_down))
        return levels + self.top_blocks(features[-1], levels[-1])
