"""The loss of the MaskIoU head and the mask score."""

import numpy as np
import pytest
import torch

from maskrcnn_benchmark.modeling.roi_heads.maskiou_head import mask_iou_loss, mask_score
from tests.helpers.vectors import load_vector

_, ARRAYS = load_vector("layers")
PREDICTION, TARGET = torch.from_numpy(ARRAYS["a"]), torch.from_numpy(ARRAYS["t"])


def test_mask_iou_loss_recorded() -> None:
    np.testing.assert_allclose(mask_iou_loss(PREDICTION, TARGET), ARRAYS["l2"], rtol=1e-6)
    loss = mask_iou_loss(PREDICTION, -TARGET.abs())
    np.testing.assert_allclose(loss, ARRAYS["l2_none"])


def test_mask_iou_loss_ignores_zero_targets() -> None:
    prediction = torch.tensor([0.5, 0.9, 0.2], requires_grad=True)
    loss = mask_iou_loss(prediction, torch.tensor([0.9, 0.0, 0.8]))
    assert loss.item() == pytest.approx((0.4**2 + 0.6**2) / 2 / 2)
    loss.backward()
    torch.testing.assert_close(prediction.grad, torch.tensor([-0.2, 0.0, -0.3]))


@pytest.mark.parametrize("count", [0, 3])
def test_mask_iou_loss_without_samples_is_zero_and_keeps_the_graph(count: int) -> None:
    prediction = torch.rand(count, requires_grad=True)
    loss = mask_iou_loss(prediction, torch.zeros(count))
    assert loss.item() == 0
    loss.backward()
    assert prediction.grad is not None
    assert prediction.grad.equal(torch.zeros(count))


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"expected target \[3\], got \[3, 1\]"):
        mask_iou_loss(torch.zeros(3), torch.zeros(3, 1))


def test_the_mask_score_is_the_product_and_is_not_clamped() -> None:
    scores, ious = torch.tensor([0.5, 0.9, 0.25]), torch.tensor([0.8, -0.1, 1.2])
    torch.testing.assert_close(mask_score(scores, ious), torch.tensor([0.4, -0.09, 0.3]))
    assert mask_score(scores[:0], ious[:0]).shape == (0,)
