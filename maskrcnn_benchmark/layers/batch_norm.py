"""Batch normalization with fixed statistics."""

import torch
from torch import Tensor, nn


class FrozenBatchNorm2d(nn.Module):
    """Batch normalization with fixed statistics and affine parameters.

    There is no epsilon, because the original weights were trained without one. The four values per
    channel are buffers, so they are saved, moved and cast with the model, but not trained.
    """

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.ones(num_features))
        self.register_buffer("bias", torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        """Return the scale and the shift of each channel, both ``[C]``."""
        scale = self.weight * self.running_var.rsqrt()
        return scale, self.bias - self.running_mean * scale

    def forward(self, input: Tensor) -> Tensor:
        """Normalize ``[N, C, ...]``; the result has the dtype of ``input``."""
        shape = (1, -1, *[1] * (input.ndim - 2))
        scale, shift = (value.to(input.dtype).reshape(shape) for value in self.scale_and_shift())
        return input * scale + shift

    def extra_repr(self) -> str:
        """Return the number of channels, for the repr of the module."""
        return f"{self.weight.shape[0]}"
