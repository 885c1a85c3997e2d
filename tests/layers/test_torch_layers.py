"""torch layers under the names of the original, which had variants for empty batches."""

import pytest
import torch

from maskrcnn_benchmark.layers import BatchNorm2d, Conv2d, ConvTranspose2d, interpolate

LAYERS = {
    "conv": (lambda: Conv2d(3, 4, 3, stride=2, padding=1), (4, 5, 5)),
    "deconv": (lambda: ConvTranspose2d(3, 4, 2, stride=2), (4, 18, 18)),
    "batch_norm": (lambda: BatchNorm2d(3).eval(), (3, 9, 9)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_empty_batch(name: str) -> None:
    make, shape = LAYERS[name]
    layer, x = make(), torch.zeros(0, 3, 9, 9, requires_grad=True)
    output = layer(x)
    assert output.shape == (0, *shape)
    output.sum().backward()
    assert x.grad is not None
    for parameter in layer.parameters():
        assert parameter.grad is not None
        assert parameter.grad.equal(torch.zeros_like(parameter))


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_interpolate_an_empty_batch(mode: str) -> None:
    x = torch.zeros(0, 3, 9, 9, requires_grad=True)
    output = interpolate(x, scale_factor=2, mode=mode)
    assert output.shape == (0, 3, 18, 18)
    output.sum().backward()
    assert x.grad is not None
