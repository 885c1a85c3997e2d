import numpy as np
import pytest
import torch
import torch.nn.functional as F

from maskrcnn_benchmark.layers import FrozenBatchNorm2d
from tests.helpers.vectors import load_vector


def recorded_layer() -> FrozenBatchNorm2d:
    _, arrays = load_vector("layers")
    layer = FrozenBatchNorm2d(4)
    names = ("weight", "bias", "running_mean", "running_var")
    layer.load_state_dict({name: torch.from_numpy(arrays[f"bn_{name}"]) for name in names})
    return layer


def test_recorded() -> None:
    _, arrays = load_vector("layers")
    output = recorded_layer()(torch.from_numpy(arrays["bn_x"]))
    np.testing.assert_allclose(output, arrays["bn_out"], rtol=1e-6, atol=1e-6)


def test_is_batch_norm_without_epsilon_in_both_modes() -> None:
    layer, x = recorded_layer(), torch.randn(3, 4, 5, 6)
    state = layer.running_mean, layer.running_var, layer.weight, layer.bias
    expected = F.batch_norm(x, *state, training=False, eps=1e-30)
    for mode in (True, False):
        torch.testing.assert_close(layer.train(mode)(x), expected)


def test_holds_only_four_buffers() -> None:
    layer = FrozenBatchNorm2d(8)
    assert list(layer.state_dict()) == ["weight", "bias", "running_mean", "running_var"]
    assert not list(layer.parameters())
    x = torch.randn(1, 8, 2, 2)
    assert layer(x).equal(x)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_result_has_the_dtype_of_the_input(dtype: torch.dtype) -> None:
    layer, x = recorded_layer(), torch.randn(2, 4, 3, 3)
    output = layer(x.to(dtype))
    assert output.dtype == dtype
    torch.testing.assert_close(output.float(), layer(x), rtol=2e-2, atol=5e-2)


def test_gradient_and_empty_batch() -> None:
    layer = recorded_layer().double()
    x = torch.randn(2, 4, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, x)
    empty = torch.zeros(0, 4, 2, 3, dtype=torch.float64, requires_grad=True)
    layer(empty).sum().backward()
    assert empty.grad is not None
    assert empty.grad.shape == (0, 4, 2, 3)


def test_linear_features() -> None:
    layer, x = recorded_layer(), torch.randn(3, 4)
    torch.testing.assert_close(layer(x), layer(x[:, :, None, None])[:, :, 0, 0])
