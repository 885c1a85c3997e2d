"""Deformable convolution (Dai et al., ICCV 2017; modulated: Zhu et al., CVPR 2019)."""

from torch import Tensor, nn

from maskrcnn_benchmark.layers._torchvision import operators
from maskrcnn_benchmark.layers.precision import full_precision

_TAPS = 9  # number of taps of the 3x3 kernel


class DFConv2d(nn.Module):
    """A deformable 3x3 convolution, with the convolution that predicts its offsets.

    Args:
        in_channels: number of input channels.
        out_channels: number of output channels.
        modulated: whether to weight each sample by a learned factor in [0, 1] (version 2).
        stride: stride of both convolutions.
        dilation: dilation and padding of both convolutions.
        groups: groups of the deformable convolution.
        deformable_groups: number of channel groups with separate offsets.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        modulated: bool,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        deformable_groups: int = 1,
    ) -> None:
        super().__init__()
        self.num_offsets = 2 * _TAPS * deformable_groups
        num_factors = _TAPS * deformable_groups if modulated else 0
        # dy, dx of each tap in row-major order, then the factor of each tap
        self.offset = nn.Conv2d(
            in_channels, self.num_offsets + num_factors, 3, stride, dilation, dilation
        )
        self.conv = nn.Conv2d(
            in_channels, out_channels, 3, stride, dilation, dilation, groups=groups, bias=False
        )
        for layer in (self.offset, self.conv):
            nn.init.kaiming_uniform_(layer.weight, a=1)
        nn.init.zeros_(self.offset.get_parameter("bias"))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, C_in, H, W]`` to ``[N, C_out, H/stride, W/stride]`` in the dtype of ``x``.

        Offsets are coordinates, so the deformable convolution runs in float32 in mixed precision.
        """
        predicted = full_precision(self.offset(x))
        offset, factors = predicted[:, : self.num_offsets], predicted[:, self.num_offsets :]
        output: Tensor = operators().deform_conv2d(
            full_precision(x),
            offset,
            full_precision(self.conv.weight),
            stride=self.conv.stride,
            padding=self.conv.padding,
            dilation=self.conv.dilation,
            mask=factors.sigmoid() if factors.shape[1] else None,
        )
        return output.to(x.dtype)
