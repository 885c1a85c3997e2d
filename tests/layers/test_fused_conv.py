import copy
import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from maskrcnn_benchmark.layers import FrozenBatchNorm2d, conv_relu, fused_conv


def make_layers(bias: bool = False, **options: Any) -> tuple[nn.Conv2d, FrozenBatchNorm2d]:
    conv = nn.Conv2d(8, 16, 3, padding=1, bias=bias, **options).eval()
    conv = conv.to(memory_format=torch.channels_last)
    norm = FrozenBatchNorm2d(16)
    for value in norm.buffers():
        value.uniform_(0.5, 2.0)
    return conv, norm


def slow(conv: nn.Conv2d, norm: FrozenBatchNorm2d | None, x: Tensor) -> Tensor:
    """Convolution and normalization one after the other, in float64."""
    out = F.conv2d(
        x.double(),
        conv.weight.double(),
        None if conv.bias is None else conv.bias.double(),
        conv.stride,
        conv.padding,
        conv.dilation,
        conv.groups,
    )
    if norm is not None:
        out = F.batch_norm(
            out,
            norm.running_mean.double(),
            norm.running_var.double(),
            norm.weight.double(),
            norm.bias.double(),
            eps=1e-30,
        )
    return out.detach()


def infer(conv: nn.Conv2d, norm: FrozenBatchNorm2d | None, x: Tensor, **more: Any) -> Tensor:
    with torch.no_grad():
        return fused_conv(conv, x, norm=norm, **more)


@pytest.mark.parametrize("options", [{}, {"stride": 2}, {"groups": 4}, {"bias": True}])
@pytest.mark.parametrize("grad", [True, False])
def test_is_the_operators_one_after_the_other(options: dict[str, Any], grad: bool) -> None:
    conv, norm = make_layers(**options)
    x = torch.randn(2, 8, 9, 11)
    kept = x.clone()
    for of, adds, relu in itertools.product((norm, None), (True, False), (True, False)):
        expected = slow(conv, of, x)
        residual = torch.randn(expected.shape) if adds else None
        before = None if residual is None else residual.clone()
        if residual is not None:
            expected = expected + residual
        expected = expected.relu() if relu else expected
        with torch.set_grad_enabled(grad):
            found = fused_conv(conv, x, norm=of, residual=residual, relu=relu)
        torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5)
        assert found.requires_grad == grad
        assert found.is_contiguous(memory_format=torch.channels_last)
        assert residual is None or residual.equal(before)
    assert x.equal(kept)


@pytest.mark.parametrize("options", [{}, {"stride": 2}, {"groups": 4}, {"padding_mode": "reflect"}])
def test_the_gradient_reaches_weights_and_input(options: dict[str, Any]) -> None:
    conv, norm = (layer.double() for layer in make_layers(bias=True, **options))
    x = torch.randn(1, 8, 3, 4, dtype=torch.float64, requires_grad=True)
    residual = torch.randn_like(conv(x)).detach().requires_grad_()
    fused = fused_conv(conv, x, norm=norm, residual=residual, relu=True)
    plain = F.relu(norm(conv(x)) + residual)
    inputs = (x, residual, conv.weight, conv.bias)
    for a, b in zip(
        torch.autograd.grad(fused.square().sum(), inputs),
        torch.autograd.grad(plain.square().sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


def test_the_gradient_in_mixed_precision() -> None:
    conv, norm = make_layers()
    x = torch.randn(2, 8, 5, 5, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        fused = fused_conv(conv, x, norm=norm)
    with torch.autocast("cpu", torch.bfloat16):  # before torch 2.14 its cache forgets the graph
        plain = norm(conv(x))
    assert fused.dtype == torch.bfloat16
    for a, b in zip(
        torch.autograd.grad(fused.float().square().sum(), (x, conv.weight)),
        torch.autograd.grad(plain.float().square().sum(), (x, conv.weight)),
        strict=True,
    ):
        assert a.dtype == b.dtype == torch.float32
        assert (a - b).norm() < 0.02 * b.norm()


@pytest.mark.parametrize("frozen", [False, True])
def test_the_graph_keeps_no_folded_weights(frozen: bool) -> None:
    """They would be a copy of the whole backbone."""
    conv, norm = make_layers()
    conv.requires_grad_(not frozen)
    x = torch.randn(1, 8, 3, 3, requires_grad=True)
    saved: list[torch.Tensor] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        saved.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        fused_conv(conv, x, norm=norm, relu=True)
    large = {t.data_ptr() for t in saved if t.numel() >= conv.weight.numel()}
    assert large == {conv.weight.data_ptr()}


CHANGES: dict[str, Callable[[nn.Conv2d, FrozenBatchNorm2d], Any]] = {
    "load_state_dict": lambda conv, norm: conv.load_state_dict(make_layers()[0].state_dict()),
    "load_state_dict of the norm": lambda conv, norm: norm.load_state_dict(
        make_layers()[1].state_dict()
    ),
    "assign": lambda conv, norm: conv.load_state_dict(make_layers()[0].state_dict(), assign=True),
    "another parameter": lambda conv, norm: setattr(
        conv, "weight", nn.Parameter(torch.randn_like(conv.weight))
    ),
    "optimizer": lambda conv, norm: _step(conv),
    "optimizer that leaves the version counter": lambda conv, norm: _step(conv, fused=True),
    "in place": lambda conv, norm: norm.running_var.mul_(3),
    "rounding to half precision and back": lambda conv, norm: conv.bfloat16().float(),
}


def _step(conv: nn.Conv2d, **options: Any) -> None:
    conv.weight.grad = torch.ones_like(conv.weight)
    torch.optim.SGD(conv.parameters(), 0.1, **options).step()


@pytest.mark.parametrize("change", CHANGES)
def test_sees_changed_weights(change: str) -> None:
    conv, norm = make_layers()
    x = torch.randn(1, 8, 5, 5)
    before = infer(conv, norm, x)
    CHANGES[change](conv, norm)
    after = infer(conv, norm, x)
    assert not after.equal(before)
    expected = slow(conv, norm, x).float()
    torch.testing.assert_close(after, expected, rtol=1e-5, atol=1e-5)


def test_training_in_between_drops_the_kept_weights() -> None:
    conv, norm = make_layers()
    x = torch.randn(1, 8, 5, 5)
    infer(conv, norm, x)
    fused_conv(conv, x, norm=norm)
    conv.weight.data.mul_(2)  # has no effect on the version counter
    torch.testing.assert_close(
        infer(conv, norm, x), slow(conv, norm, x).float(), rtol=1e-5, atol=1e-5
    )


def test_a_layer_in_training_keeps_nothing() -> None:
    conv, norm = make_layers()
    x = torch.randn(1, 8, 5, 5)
    before = infer(conv.train(), norm, x)
    conv.weight.data.mul_(2)
    assert not infer(conv, norm, x).equal(before)
    torch.testing.assert_close(
        infer(conv, norm, x), slow(conv, norm, x).float(), rtol=1e-5, atol=1e-5
    )


def test_a_copy_has_weights_of_its_own_and_the_module_holds_nothing_more() -> None:
    conv, norm = make_layers()
    x = torch.randn(1, 8, 5, 5)
    names = set(vars(conv)) | set(vars(norm))
    before = infer(conv, norm, x)
    assert set(vars(conv)) | set(vars(norm)) == names
    twin = copy.deepcopy(conv)
    with torch.no_grad():
        twin.weight.zero_()
    assert infer(conv, norm, x).equal(before)
    assert not infer(twin, None, x).any()


class Operators(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch without oneDNN")
def test_the_second_call_is_one_kernel() -> None:
    conv, norm = make_layers()
    x = torch.randn(1, 8, 5, 5).to(memory_format=torch.channels_last)
    residual = torch.randn(1, 16, 5, 5).to(memory_format=torch.channels_last)
    infer(conv, norm, x)
    with Operators() as seen:
        infer(conv, norm, x, residual=residual, relu=True)
        infer(conv, norm, x, relu=True)
    assert [name for name in seen.names if "view" not in name and "detach" not in name] == [
        "mkldnn._convolution_pointwise.binary",
        "mkldnn._convolution_pointwise.default",
    ]


@pytest.mark.parametrize("enabled", [True, False])
def test_mixed_precision(enabled: bool) -> None:
    conv, norm = make_layers()
    x = torch.randn(1, 8, 5, 5)
    expected = slow(conv, norm, x).relu().float()
    with (
        torch.backends.mkldnn.flags(enabled=enabled),
        torch.no_grad(),
        torch.autocast("cpu", torch.bfloat16),
    ):
        found = fused_conv(conv, x, norm=norm, relu=True)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected, rtol=3e-2, atol=3e-2)
    full = infer(conv, norm, x, relu=True)
    torch.testing.assert_close(full, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch without oneDNN")
def test_the_bias_is_not_rounded_in_mixed_precision() -> None:
    """Its error would be the same at all places, and add up from layer to layer."""
    conv = nn.Conv2d(8, 16, 1).eval()
    nn.init.constant_(conv.weight, -32.0)
    nn.init.constant_(conv.bias, 256.7)  # 256 in bfloat16
    with torch.autocast("cpu", torch.bfloat16):
        found = infer(conv, None, torch.ones(1, 8, 5, 5))
    expected = torch.full((1, 16, 5, 5), 0.7)
    torch.testing.assert_close(found.float(), expected, rtol=0.01, atol=0.0)


def test_other_sizes_and_no_rows() -> None:
    conv, norm = make_layers(stride=2)
    for size in ((1, 8, 5, 5), (3, 8, 40, 17), (0, 8, 6, 6), (1, 8, 1, 1)):
        x = torch.randn(size)
        found = infer(conv, norm, x, relu=True)
        expected = slow(conv, norm, x).relu().float()
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_diverged_weights_are_not_hidden_by_the_relu(value: float) -> None:
    conv, norm = make_layers()
    with torch.no_grad():
        conv.weight[3, 0, 0, 0] = value
    found = infer(conv, norm, torch.randn(1, 8, 6, 6), relu=True)
    assert not found[:, 3].isfinite().all()
    assert found[:, 4].isfinite().all()
    conv.load_state_dict({"weight": torch.ones_like(conv.weight)})
    assert infer(conv, norm, torch.randn(1, 8, 6, 6), relu=True).isfinite().all()


def test_inference_mode() -> None:
    with torch.inference_mode():
        conv, norm = make_layers()
        x = torch.randn(1, 8, 5, 5)
        for _ in range(2):
            found = fused_conv(conv, x, norm=norm)
            conv.weight.mul_(2)  # a tensor of inference mode has no version counter
        assert not found.equal(fused_conv(conv, x, norm=norm))
    outside, norm = make_layers()
    x = torch.randn(1, 8, 5, 5)
    with torch.inference_mode():
        kept = fused_conv(outside, x, norm=norm)
    assert infer(outside, norm, x).equal(kept)


def test_conv_relu_of_other_layers() -> None:
    conv, _ = make_layers(bias=True)
    x = torch.randn(1, 8, 5, 5)
    with torch.no_grad():
        expected = F.relu(conv(x))
        torch.testing.assert_close(conv_relu(conv, x), expected)
        torch.testing.assert_close(conv_relu(nn.Sequential(conv, nn.Identity()), x), expected)
        reflecting = nn.Conv2d(8, 16, 3, padding=1, padding_mode="reflect")
        same = nn.Conv2d(8, 16, 3, padding="same")
        for layer in (reflecting, same):
            torch.testing.assert_close(conv_relu(layer, x), F.relu(layer(x)))
        assert conv_relu(conv.to("meta"), x.to("meta")).shape == (1, 16, 5, 5)


@pytest.mark.parametrize("grad", [True, False])
def test_hooks_of_a_convolution_run(grad: bool) -> None:
    conv, _ = make_layers()
    x = torch.randn(1, 8, 5, 5)
    with torch.set_grad_enabled(grad):
        conv_relu(conv, x)
        seen: list[Tensor] = []
        handle = conv.register_forward_hook(lambda _, arguments, output: seen.extend(arguments))
        conv_relu(conv, x)
        handle.remove()
        conv_relu(conv, x)
    assert len(seen) == 1
    assert seen[0].equal(x)
