"""Convolution with what follows it: frozen batch normalization, a residual and ReLU, in one pass.

In training, the normalization is folded into the weights in each call, and again for the gradient.
In inference, the folded weights are kept until the weights change, and on the CPU oneDNN computes
all of it in one kernel, with weights in its own layout.
"""

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from maskrcnn_benchmark.layers.batch_norm import FrozenBatchNorm2d


@dataclass(frozen=True)
class _Prepared:
    """The weights of a convolution at inference, and what they were made from.

    Attributes:
        sources: aliases of the parameters and buffers; they keep the memory, so that a changed
            tensor cannot have the same address.
        versions: the version counter of each source.
        weight: in the dtype of the computation; in the layout of oneDNN if ``packed``.
        bias: in the same dtype, or float32 if packed.
        packed: whether oneDNN computes the convolution.
    """

    sources: Sequence[Tensor]
    versions: Sequence[int]
    weight: Tensor
    bias: Tensor | None
    packed: bool

    def is_current(self, sources: Sequence[Tensor], dtype: torch.dtype, packed: bool) -> bool:
        """Return whether it was made from these sources, unchanged since, in the same way."""
        return (
            self.weight.dtype == dtype
            and self.packed == packed
            and len(self.sources) == len(sources)
            and all(
                old.data_ptr() == new.data_ptr() and version == new._version
                for old, version, new in zip(self.sources, self.versions, sources, strict=True)
            )
        )


_prepared: weakref.WeakKeyDictionary[nn.Module, _Prepared] = weakref.WeakKeyDictionary()


def _forget_prepared(*_: Any) -> None:
    """Drop all kept weights: a fused optimizer changes parameters, but not their versions."""
    _prepared.clear()


register_optimizer_step_post_hook(_forget_prepared)


def fused_conv(
    conv: nn.Conv2d,
    x: Tensor,
    *,
    norm: FrozenBatchNorm2d | None = None,
    residual: Tensor | None = None,
    relu: bool = False,
) -> Tensor:
    """Return ``relu(norm(conv(x)) + residual)``.

    In inference, a change of the weights through ``.data`` is not seen; one by
    ``load_state_dict``, an optimizer or any other operation on the parameter itself is.

    Args:
        conv: the convolution.
        x: ``[N, C_in, H, W]``.
        norm: normalization of the ``C_out`` channels.
        residual: ``[N, C_out, H_out, W_out]``.
        relu: whether a ReLU follows.
    """
    if torch.is_grad_enabled() or conv.training or not _is_plain(conv, x):
        _prepared.pop(conv, None)  # training changes the weights
        return _finish(conv(x) if norm is None else _folded_conv(conv, norm, x), residual, relu)
    if torch.is_autocast_enabled(x.device.type):
        x = x.to(torch.get_autocast_dtype(x.device.type))
    ready = _prepare(conv, norm, x)
    if not ready.packed:
        return _finish(conv._conv_forward(x, ready.weight, ready.bias), residual, relu)
    x = x.contiguous(memory_format=torch.channels_last)
    geometry = (conv.padding, conv.stride, conv.dilation, conv.groups)
    onednn = torch.ops.mkldnn._convolution_pointwise
    if residual is None:
        unary = "relu" if relu else "none"
        return onednn(x, ready.weight, ready.bias, *geometry, unary, [], "")
    residual = residual.to(x.dtype).contiguous(memory_format=torch.channels_last)
    bias = None if ready.bias is None else ready.bias.to(x.dtype)  # it takes no other here
    after = "relu" if relu else None
    return onednn.binary(x, residual, ready.weight, bias, *geometry, "add", 1.0, after, [], None)


def conv_relu(layer: nn.Module, x: Tensor) -> Tensor:
    """Return ``relu(layer(x))`` of a convolution, or of one followed by a normalization."""
    return fused_conv(layer, x, relu=True) if isinstance(layer, nn.Conv2d) else F.relu_(layer(x))


def _is_plain(conv: nn.Conv2d, x: Tensor) -> bool:
    """Return whether nothing but the values of the result is wanted: no hook, no trace."""
    traced = type(x) is not Tensor or x.device.type == "meta" or torch.compiler.is_compiling()
    return not (traced or x.numel() == 0 or conv._forward_hooks or conv._forward_pre_hooks)


def _fold(conv: nn.Conv2d, norm: FrozenBatchNorm2d | None) -> tuple[Tensor, Tensor | None]:
    """Return the weight and the bias of the convolution followed by the normalization."""
    if norm is None:
        return conv.weight, conv.bias
    scale, bias = _scale_and_bias(conv, norm)
    return conv.weight * scale, bias


def _scale_and_bias(conv: nn.Conv2d, norm: FrozenBatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return the scale ``[C, 1, 1, 1]`` of the weights and the bias that the normalization adds."""
    scale, shift = norm.scale_and_shift()
    if conv.bias is not None:
        shift = shift + conv.bias * scale
    return scale[:, None, None, None].to(conv.weight), shift.to(conv.weight)


class _ScaledConv(torch.autograd.Function):
    """A convolution whose weights are scaled, without a copy of the scaled weights in the graph."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, scale: Tensor, bias: Tensor, conv: nn.Conv2d
    ) -> Tensor:
        ctx.save_for_backward(x, weight, scale)
        ctx.conv = conv
        return conv._conv_forward(x, weight * scale, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        x, weight, scale = ctx.saved_tensors
        conv = ctx.conv
        wanted = [ctx.needs_input_grad[i] for i in (0, 1, 3)]
        of_x, of_weight, of_bias = torch.ops.aten.convolution_backward(
            grad,
            x.to(grad.dtype),
            (weight * scale).to(grad.dtype),
            [conv.out_channels],
            *(conv.stride, conv.padding, conv.dilation, False, [0, 0], conv.groups),
            wanted,
        )
        return (
            of_x.to(x.dtype) if wanted[0] else None,
            of_weight.to(weight.dtype) * scale if wanted[1] else None,
            None,
            of_bias.to(weight.dtype) if wanted[2] else None,
            None,
        )


def _folded_conv(conv: nn.Conv2d, norm: FrozenBatchNorm2d, x: Tensor) -> Tensor:
    """Return the output of the convolution and the normalization, with a gradient."""
    if isinstance(conv.padding, str) or conv.padding_mode != "zeros":
        return conv._conv_forward(x, *_fold(conv, norm))
    out: Tensor = _ScaledConv.apply(x, conv.weight, *_scale_and_bias(conv, norm), conv)
    return out


def _finish(x: Tensor, residual: Tensor | None, relu: bool) -> Tensor:
    if residual is not None:
        x = x.add_(residual)
    return F.relu_(x) if relu else x


def _prepare(conv: nn.Conv2d, norm: FrozenBatchNorm2d | None, x: Tensor) -> _Prepared:
    """Return the weights for inference, made anew if the parameters have changed."""
    sources = [conv.weight, *([] if conv.bias is None else [conv.bias])]
    if norm is not None:
        sources += [norm.weight, norm.bias, norm.running_mean, norm.running_var]
    keep = not any(source.is_inference() for source in sources)  # they have no version counter
    packed = keep and _runs_on_onednn(conv, x)
    found = _prepared.get(conv)
    if keep and found is not None and found.is_current(sources, x.dtype, packed):
        return found
    weight, bias = _fold(conv, norm)
    weight = weight.detach().to(x.dtype)
    bias = None if bias is None else bias.detach()
    # oneDNN's ReLU makes 0 of NaN, which would hide that the model has diverged
    packed = packed and all(bool(t.isfinite().all()) for t in (weight, bias) if t is not None)
    if packed:
        weight = torch.ops.mkldnn._reorder_convolution_weight(
            weight, conv.padding, conv.stride, conv.dilation, conv.groups, list(x.shape)
        )
    elif bias is not None:  # oneDNN alone adds a float32 bias in half precision
        bias = bias.to(x.dtype)
    versions = [source._version for source in sources] if keep else []
    made = _Prepared([s.detach() for s in sources], versions, weight, bias, packed)
    if keep:
        _prepared[conv] = made
    return made


def _runs_on_onednn(conv: nn.Conv2d, x: Tensor) -> bool:
    if x.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    if not torch.backends.mkldnn.enabled or conv.padding_mode != "zeros":
        return False
    if isinstance(conv.padding, str):
        return False
    if x.dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return x.dtype == torch.float32
