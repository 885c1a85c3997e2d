import numpy as np
import pytest
import torch

from maskrcnn_benchmark.layers import DFConv2d
from tests.helpers.vectors import load_vector


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("v1_s1", {"modulated": False}),
        ("v1_s2", {"modulated": False, "stride": 2}),
        ("v2_s1", {"modulated": True}),
        ("v2_s2", {"modulated": True, "stride": 2}),
        ("v1_d2", {"modulated": False, "dilation": 2}),
    ],
)
def test_recorded_layer(name, options):
    _, arrays = load_vector("dfconv_layer_derived", "vectors_upstream")
    layer = DFConv2d(6, 5, **options)
    prefix = f"{name}:"
    state = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
    layer.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()})
    x = torch.from_numpy(arrays["x"])
    with torch.no_grad():
        np.testing.assert_allclose(layer.offset(x), arrays[f"{name}_offset"], atol=1e-5)
        for memory_format in (torch.contiguous_format, torch.channels_last):
            layer = layer.to(memory_format=memory_format)
            got = layer(x.to(memory_format=memory_format))
            np.testing.assert_allclose(got, arrays[f"{name}_out"], rtol=1e-4, atol=1e-5)


def test_offset_groups():
    layer = DFConv2d(8, 6, modulated=True, deformable_groups=2, groups=2)
    assert layer.offset.weight.shape == (54, 8, 3, 3)
    assert layer(torch.randn(1, 8, 5, 6)).shape == (1, 6, 5, 6)


def test_zero_offsets_are_a_plain_convolution():
    layer = DFConv2d(4, 3, modulated=False)
    torch.nn.init.zeros_(layer.offset.weight)
    x = torch.randn(2, 4, 6, 7)
    torch.testing.assert_close(layer(x), layer.conv(x), rtol=1e-4, atol=1e-5)
