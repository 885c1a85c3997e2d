import numpy as np
import pytest
import torch

from maskrcnn_benchmark.layers import smooth_l1_loss
from tests.helpers.vectors import load_vector

_, ARRAYS = load_vector("layers")
PREDICTION, TARGET = torch.from_numpy(ARRAYS["a"]), torch.from_numpy(ARRAYS["t"])


@pytest.mark.parametrize(("beta", "key"), [(1 / 9, "0.111"), (1.0, "1.000")])
@pytest.mark.parametrize(("size_average", "kind"), [(True, "mean"), (False, "sum")])
def test_smooth_l1_recorded(beta: float, key: str, size_average: bool, kind: str) -> None:
    loss = smooth_l1_loss(PREDICTION, TARGET, beta=beta, size_average=size_average)
    np.testing.assert_allclose(loss, ARRAYS[f"sl1_b{key}_{kind}"], rtol=1e-6)
    if key == "0.111":
        assert smooth_l1_loss(PREDICTION, TARGET, size_average=size_average).equal(loss)


def test_smooth_l1_by_hand_and_gradient() -> None:
    prediction = torch.tensor([0.1, -0.2, 3.0], dtype=torch.float64, requires_grad=True)
    target = torch.zeros(3, dtype=torch.float64)
    loss = smooth_l1_loss(prediction, target, beta=0.5, size_average=False)
    assert loss.item() == pytest.approx(0.1**2 + 0.2**2 + 3 - 0.25)
    assert torch.autograd.gradcheck(lambda p: smooth_l1_loss(p, target, beta=0.5), prediction)


@pytest.mark.parametrize("size_average", [True, False])
def test_smooth_l1_of_nothing_is_zero(size_average: bool) -> None:
    prediction = torch.zeros(0, 4, requires_grad=True)
    loss = smooth_l1_loss(prediction, torch.zeros(0, 4), size_average=size_average)
    assert loss.item() == 0
    loss.backward()
    assert prediction.grad is not None


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"expected target \[3\], got \[3, 1\]"):
        smooth_l1_loss(torch.zeros(3), torch.zeros(3, 1))
