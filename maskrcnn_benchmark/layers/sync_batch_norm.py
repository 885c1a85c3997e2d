"""Batch normalization over the batch of one rank or of all ranks, on any device."""

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from maskrcnn_benchmark.layers.precision import full_precision


class TrainableBatchNorm2d(nn.BatchNorm2d):
    """Batch normalization for detectors: inputs may be empty, and frozen layers keep their values.

    It computes and stores what ``torch.nn.BatchNorm2d`` does, except:

    * With ``synchronized``, the statistics are those of the batches of all ranks together, weighted
      by their number of elements, so several ranks compute what one would with the whole batch.
      Unlike ``torch.nn.SyncBatchNorm`` it also works on the CPU and with empty inputs. On a single
      rank it makes no difference. All ranks must call the layer equally often in training.
    * An input without elements, such as the ROIs of images without objects, changes nothing.
    * While ``weight`` does not require a gradient, the layer works as in evaluation mode, so the
      statistics of frozen stages do not change either.

    Args:
        num_features: number of channels.
        synchronized: whether the statistics are those of all ranks.
    """

    weight: nn.Parameter
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, num_features: int, *, synchronized: bool = False) -> None:
        super().__init__(num_features)
        self.synchronized = synchronized

    def forward(self, input: Tensor) -> Tensor:
        """Normalize ``[N, C, ...]``; the result has the dtype of ``input``."""
        learns = self.training and self.weight.requires_grad
        if learns and self.synchronized and _ranks() > 1:
            return self._synchronized(input)
        learns = learns and input.numel() > 0
        if learns:
            self.num_batches_tracked += 1
        statistics = (self.running_mean, self.running_var, self.weight, self.bias)
        momentum = self._momentum()
        return F.batch_norm(input, *statistics, training=learns, momentum=momentum, eps=self.eps)

    def _momentum(self) -> float:
        assert self.momentum is not None  # None, a cumulative average, is not offered
        return self.momentum

    def _synchronized(self, input: Tensor) -> Tensor:
        mean, var, count = _statistics_of_all_ranks(input.detach())
        with torch.no_grad():
            step = self._momentum() * (count > 0)
            unbiased = var * (count / (count - 1).clamp(min=1))
            self.running_mean.lerp_(mean.to(self.running_mean), step.to(self.running_mean))
            self.running_var.lerp_(unbiased.to(self.running_var), step.to(self.running_var))
            self.num_batches_tracked += (count > 0).to(self.num_batches_tracked)
        output: Tensor = _Normalize.apply(
            input, self.weight, self.bias, (mean, var, count), self.eps
        )
        return output


def _ranks() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def _per_channel(values: Tensor, like: Tensor) -> Tensor:
    return values.reshape(1, -1, *[1] * (like.ndim - 2))


def _statistics_of_all_ranks(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean and biased variance of each channel, and the number of its elements (0-d).

    The statistics of the ranks are merged instead of sums of squares, which would cancel.
    """
    x = full_precision(x)
    dims = [dim for dim in range(x.ndim) if dim != 1]
    count = x.numel() // x.shape[1]
    if count:
        var, mean = torch.var_mean(x, dims, correction=0)
    else:
        var = mean = x.new_zeros(x.shape[1])
    own = torch.cat([mean, var, x.new_tensor([count])])
    parts = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, own)
    means, variances, counts = torch.stack(parts).split([x.shape[1], x.shape[1], 1], dim=1)
    total = counts.sum()
    shares = counts / total.clamp(min=1)
    mean = (shares * means).sum(dim=0)
    return mean, (shares * (variances + (means - mean).square())).sum(dim=0), total


class _Normalize(torch.autograd.Function):
    """Normalize by the statistics of all ranks, which depend on the input of every rank."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        statistics: tuple[Tensor, Tensor, Tensor],
        eps: float,
    ) -> Tensor:
        mean, var, count = statistics
        ctx.save_for_backward(x, weight, mean, (var + eps).rsqrt(), count)
        return F.batch_norm(x, mean, var, weight.to(mean), bias.to(mean), training=False, eps=eps)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, inverse_std, count = ctx.saved_tensors
        gradient = full_precision(gradients[0])
        normalized = (full_precision(x) - _per_channel(mean, x)) * _per_channel(inverse_std, x)
        dims = [dim for dim in range(x.ndim) if dim != 1]
        own = torch.stack([gradient.sum(dims), (gradient * normalized).sum(dims)])
        total = own.clone()
        dist.all_reduce(total)
        shift, slope = total / count.clamp(min=1)
        centered = gradient - _per_channel(shift, x) - normalized * _per_channel(slope, x)
        scale = _per_channel(weight * inverse_std, x)
        of_bias, of_weight = own
        return (scale * centered).to(x), of_weight.to(weight), of_bias.to(weight), None, None
