"""TrainableBatchNorm2d against torch's batch norm, on one rank and on two."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from maskrcnn_benchmark.layers import TrainableBatchNorm2d
from tests.helpers.ranks import on_ranks

CHANNELS = 3


def batch(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Return an input of 7 images and factors that make the loss depend on every output."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(7, CHANNELS, 4, 5, generator=generator, dtype=torch.float64)
    factors = torch.randn(x.shape, generator=generator, dtype=torch.float64)
    scale = torch.tensor([1.0, 50.0, 0.1], dtype=torch.float64)[:, None, None]
    return (x * scale + 100 * scale).to(dtype), factors.to(dtype)


def layer(kind: Any, dtype: torch.dtype = torch.float64, **options: Any) -> nn.BatchNorm2d:
    norm = kind(CHANNELS, **options).to(dtype)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([0.5, -2.0, 3.0]))
        norm.bias.copy_(torch.tensor([0.1, 0.2, -0.3]))
    return norm


def results(norm: nn.BatchNorm2d, x: Tensor, factors: Tensor) -> list[Tensor]:
    """Return output, gradients of input, weight and bias, and the statistics afterwards."""
    x = x.clone().requires_grad_()
    output = norm(x)
    (output * factors).sum().backward()
    parts = [output, x.grad, norm.weight.grad, norm.bias.grad]
    parts += [norm.running_mean, norm.running_var, norm.num_batches_tracked]
    return [part.detach().clone() for part in parts if part is not None]


@pytest.mark.parametrize("synchronized", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_equals_torchs_on_one_rank(synchronized: bool, training: bool) -> None:
    ours = layer(TrainableBatchNorm2d, synchronized=synchronized).train(training)
    theirs = layer(nn.BatchNorm2d).train(training)
    for _ in range(2):
        for got, expected in zip(results(ours, *batch()), results(theirs, *batch()), strict=True):
            assert got.equal(expected)
    assert list(ours.state_dict()) == list(theirs.state_dict())


def _is_like_the_whole_batch(rank: int, split: int) -> None:
    x, factors = batch()
    mine = slice(split) if rank == 0 else slice(split, None)
    norm = layer(TrainableBatchNorm2d, synchronized=True)
    alone = layer(nn.BatchNorm2d)
    for _ in range(2):
        output, gradient, *rest = results(norm, x[mine], factors[mine])
        whole_output, whole_gradient, *whole = results(alone, x, factors)
        torch.testing.assert_close(output, whole_output[mine])
        torch.testing.assert_close(gradient, whole_gradient[mine])
        for parameter_gradient in rest[:2]:  # a rank has its own share, which DDP then sums
            torch.distributed.all_reduce(parameter_gradient)
        for got, expected in zip(rest, whole, strict=True):
            torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("split", [3, 1, 0])
def test_two_ranks_equal_one_with_the_whole_batch(split: int) -> None:
    on_ranks(_is_like_the_whole_batch, split)


def _empty_everywhere(rank: int) -> None:
    norm = layer(TrainableBatchNorm2d, torch.float32, synchronized=True)
    x = torch.zeros(0, CHANNELS, 4, 5, requires_grad=True)
    norm(x).sum().backward()
    assert x.grad is not None and norm.weight.grad is not None
    assert not norm.weight.grad.any() and not norm.running_mean.any()
    assert (norm.running_var == 1).all() and norm.num_batches_tracked == 0


def _unsynchronized_ranks_differ(rank: int) -> None:
    x, factors = batch()
    norm = layer(TrainableBatchNorm2d)
    expected = results(layer(nn.BatchNorm2d), x[rank::2], factors[rank::2])
    for got, wanted in zip(results(norm, x[rank::2], factors[rank::2]), expected, strict=True):
        assert got.equal(wanted)


def _half_precision(rank: int) -> None:
    x, factors = batch(torch.float32)
    norm = layer(TrainableBatchNorm2d, torch.float32, synchronized=True)
    half = (x[rank::2].bfloat16(), factors[rank::2].bfloat16())
    output, gradient, *_ = results(norm, *half)
    assert output.dtype == gradient.dtype == torch.bfloat16
    x = torch.cat([x[0::2], x[1::2]]).bfloat16().float()
    expected, *_ = results(layer(nn.BatchNorm2d, torch.float32), x, torch.zeros_like(x))
    mine = expected[:4] if rank == 0 else expected[4:]
    torch.testing.assert_close(output.float(), mine, rtol=2e-2, atol=2e-2)


def _every_other_case(rank: int) -> None:
    _empty_everywhere(rank)
    _unsynchronized_ranks_differ(rank)
    _half_precision(rank)


def test_empty_inputs_half_precision_and_no_synchronization_on_two_ranks() -> None:
    on_ranks(_every_other_case)


@pytest.mark.parametrize("synchronized", [False, True])
def test_an_empty_input_changes_nothing(synchronized: bool) -> None:
    norm = layer(TrainableBatchNorm2d, torch.float32, synchronized=synchronized)
    x = torch.zeros(0, CHANNELS, 2, 2, requires_grad=True)
    norm(x).sum().backward()
    assert norm.weight.grad is not None and not norm.weight.grad.any()
    assert not norm.running_mean.any() and norm.num_batches_tracked == 0
    norm(torch.randn(2, CHANNELS, 2, 2))
    assert norm.num_batches_tracked == 1


def test_a_frozen_layer_keeps_its_statistics_in_training() -> None:
    norm = layer(TrainableBatchNorm2d)
    norm.requires_grad_(False)
    x, _ = batch()
    expected = layer(nn.BatchNorm2d).eval()(x)
    assert norm.train()(x).equal(expected)
    assert not norm.running_mean.any()
    norm.requires_grad_(True)
    assert not norm(x).equal(expected)


def test_linear_features() -> None:
    x = torch.randn(5, CHANNELS)
    norm = layer(TrainableBatchNorm2d, torch.float32)
    expected = layer(nn.BatchNorm1d, torch.float32)(x)
    torch.testing.assert_close(norm(x), expected)
