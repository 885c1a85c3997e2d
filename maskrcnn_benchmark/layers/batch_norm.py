"""Batch normalisation with fixed statistics."""

import torch
from torch import Tensor, nn


class FrozenBatchNorm2d(nn.Module):
    """Batch normalisation whose statistics and affine parameters never change.

    There is no epsilon: the weights of the original were made without one. The four values per
    channel are buffers, so they are saved, moved and cast with the model, and never trained.
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
        """Return the factor and the summand [C] of each channel."""
        scale = self.weight * self.running_var.rsqrt()
        return scale, self.bias - self.running_mean * scale

    def forward(self, input: Tensor) -> Tensor:
        """Normalise [N, C, H, W]; the result has the dtype of `input`."""
        scale, shift = self.scale_and_shift()
        scale, shift = (value.to(input.dtype).reshape(1, -1, 1, 1) for value in (scale, shift))
        return input * scale + shift

    def extra_repr(self) -> str:
        """Return the number of channels for ``print(model)``."""
        return f"{self.weight.shape[0]}"
