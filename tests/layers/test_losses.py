import numpy as np
import pytest
import torch

from maskrcnn_benchmark.layers import sigmoid_focal_loss, smooth_l1_loss
from tests.helpers.vectors import load_vector

_, ARRAYS = load_vector("layers")
_, FOCAL = load_vector("focal_loss", "vectors_upstream")
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


def class_targets(labels: np.ndarray, classes: int) -> torch.Tensor:
    """[N, classes]: 1 for the class of a row; the labels are 1 to classes, 0 is background."""
    return (torch.from_numpy(labels)[:, None] == torch.arange(1, classes + 1)).float()


@pytest.mark.parametrize(("gamma", "alpha"), [(2, 0.25), (2, 0.5), (1.5, 0.25), (0, 0.25)])
def test_focal_loss_recorded(gamma: float, alpha: float) -> None:
    used = FOCAL["targets"] >= 0  # -1: ignored
    logits = torch.from_numpy(FOCAL["logits"][used]).requires_grad_()
    targets = class_targets(FOCAL["targets"][used], logits.shape[1])
    loss = sigmoid_focal_loss(logits, targets, alpha=alpha, gamma=gamma)
    loss.sum().backward()
    key = f"g{gamma}_a{alpha}"
    expected, gradient = FOCAL[f"loss_{key}"][used], FOCAL[f"grad_{key}"][used]
    np.testing.assert_allclose(loss.detach(), expected, rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(logits.grad, gradient, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("gamma", [0, 1, 1.5, 2])
def test_focal_loss_at_any_logit(gamma: float) -> None:
    """Where the formula of the original, log(sigmoid(x)), gave infinity and NaN."""
    logits = torch.tensor([[-1e4, -120.0, 0.0, 120.0, 1e4]]).requires_grad_()
    for target in (0.0, 1.0):
        loss = sigmoid_focal_loss(logits, torch.full_like(logits, target), alpha=0.25, gamma=gamma)
        (gradient,) = torch.autograd.grad(loss.sum(), logits)
        weight = 0.25 if target else 0.75
        wrong = logits.detach() * (1 - 2 * target)  # large: as wrong as can be
        expected = weight * wrong.clamp(min=0)
        middle = logits == 0
        expected[middle] = weight * 0.5**gamma * torch.log(torch.tensor(2.0))
        torch.testing.assert_close(loss.detach(), expected)
        slopes = weight * (1 - 2 * target) * (wrong > 0).float()
        torch.testing.assert_close(gradient[~middle], slopes[~middle])
