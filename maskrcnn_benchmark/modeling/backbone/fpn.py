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


class FPN(nn.Module):
    """Lateral 1x1 convolutions, a top-down path with nearest upsampling, and 3x3 convolutions.

    The coarsest level is subsampled by 2 to add one more level, for the largest anchors of the RPN.

    Args:
        in_channels_list: number of channels of each input level, finest first.
        out_channels: number of channels of every output level.
        norm: normalization layer after each convolution, if any.
        relu: whether a ReLU follows each convolution.
    """

    def __init__(
        self,
        in_channels_list: Sequence[int],
        out_channels: int,
        *,
        norm: NormMaker | None = None,
        relu: bool = False,
    ) -> None:
        super().__init__()
        self.num_levels = len(in_channels_list)
        for level, in_channels in enumerate(in_channels_list, start=1):
            inner = _conv(in_channels, out_channels, 1, norm, relu)
            self.add_module(f"fpn_inner{level}", inner)
            self.add_module(f"fpn_layer{level}", _conv(out_channels, out_channels, 3, norm, relu))

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Map levels ``[N, C_i, H_i, W_i]``, finest first, to the pyramid with one more level."""
        levels: list[Tensor] = []
        top_down: Tensor | None = None
        for number in range(self.num_levels, 0, -1):
            feature = features[number - 1]
            if top_down is not None:
                top_down = F.interpolate(top_down, size=feature.shape[-2:], mode="nearest")
            top_down = _apply(self.get_submodule(f"fpn_inner{number}"), feature, top_down)
            levels.insert(0, _apply(self.get_submodule(f"fpn_layer{number}"), top_down))
        levels.append(F.max_pool2d(levels[-1], kernel_size=1, stride=2))
        return levels
