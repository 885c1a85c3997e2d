"""Operators against slow oracles on inputs drawn from tests/helpers/op_strategies.

``make fuzz`` tries 5000 examples of each instead of 60, under AddressSanitizer.
"""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn_benchmark.layers import (
    SoftNMS,
    batched_nms,
    batched_soft_nms,
    roi_align,
    roi_pool,
)
from tests.helpers import op_strategies as odd
from tests.helpers import ops_oracles

pytestmark = pytest.mark.usefixtures("backend")
IN_AND_AROUND = (0.25, 0.5, 1.0)  # scales: the image is at most as large as the map, or far larger


@given(data=st.data(), threads=odd.threads, dtype=st.sampled_from(odd.DTYPES))
def test_nms(data: st.DataObject, threads: int, dtype: torch.dtype) -> None:
    torch.set_num_threads(threads)
    boxes = data.draw(odd.boxes()).to(dtype)
    scores, groups = data.draw(odd.scores(len(boxes))), data.draw(odd.groups(len(boxes)))
    threshold = data.draw(st.sampled_from([0.0, 0.25, 0.5, 0.75]))
    offset = data.draw(st.sampled_from([0.0, 1.0]))
    kept = batched_nms(boxes, scores, groups, threshold, pixel_offset=offset)
    ranked = scores.nan_to_num(nan=-1.0).numpy()
    given_boxes = boxes.double().numpy()
    with np.errstate(all="ignore"):
        expected = ops_oracles.nms(given_boxes, ranked, threshold, groups.numpy(), offset)
    assert kept.tolist() == expected


@given(data=st.data(), threads=odd.threads)
def test_soft_nms(data: st.DataObject, threads: int) -> None:
    """In float64, where the oracle computes exactly the same values."""
    torch.set_num_threads(threads)
    boxes = data.draw(odd.boxes()).double()
    scores = data.draw(odd.scores(len(boxes), not_finite=False)).double()
    groups = data.draw(odd.groups(len(boxes)))
    kept, lowered = batched_soft_nms(boxes, scores, groups, SoftNMS("linear", threshold=0.25))
    with np.errstate(all="ignore"):
        expected = ops_oracles.soft_nms(
            boxes.numpy(), scores.numpy(), lambda o: 1 - o if o >= 0.25 else 1.0, groups.numpy()
        )
    assert sorted(zip(kept.tolist(), lowered.tolist(), strict=True)) == sorted(expected)
    assert (lowered.diff() <= 0).all()


@given(data=st.data(), threads=odd.threads, aligned=st.booleans())
def test_roi_align(data: st.DataObject, threads: int, aligned: bool) -> None:
    torch.set_num_threads(threads)
    features = data.draw(odd.features(torch.float64)).requires_grad_()
    rois = data.draw(odd.rois(features.shape[0])).double()
    options = (
        data.draw(st.sampled_from([(1, 1), (2, 3), (7, 1)])),
        data.draw(st.sampled_from(IN_AND_AROUND)),
        data.draw(st.sampled_from([-1, 0, 1, 2])),
    )
    output = roi_align(features, rois, *options, aligned=aligned)
    finite = rois.isfinite().all(1)
    expected = ops_oracles.roi_align(
        features.detach().numpy(), rois[finite].numpy(), *options, aligned
    )
    np.testing.assert_allclose(output[finite].detach(), expected, rtol=1e-9, atol=1e-9)
    assert output[~finite].isnan().all()
    # it is linear: the gradient is the transpose, tried with any two vectors
    weights = torch.randn(output.shape, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(output, features, weights, allow_unused=True)
    other = torch.randn(features.shape, dtype=torch.float64)
    there = roi_align(other, rois, *options, aligned=aligned)
    forward = (there[finite] * weights[finite]).sum()
    torch.testing.assert_close((gradient * other).sum(), forward, rtol=1e-7, atol=1e-7)


@given(data=st.data(), threads=odd.threads, dtype=st.sampled_from(odd.DTYPES))
def test_roi_pool(data: st.DataObject, threads: int, dtype: torch.dtype) -> None:
    torch.set_num_threads(threads)
    features = data.draw(odd.features(dtype)).requires_grad_()
    rois = data.draw(odd.rois(features.shape[0]))
    size = data.draw(st.sampled_from([(1, 1), (2, 3), (7, 1)]))
    scale = data.draw(st.sampled_from(IN_AND_AROUND))
    output = roi_pool(features, rois, size, scale)
    finite = rois.isfinite().all(1)
    arrays = features.detach().double().numpy(), rois[finite].numpy()
    expected = ops_oracles.roi_pool(*arrays, size, scale)
    np.testing.assert_array_equal(output[finite].detach().double(), expected)
    assert output[~finite].isnan().all()
    # every value that is pooled sends its gradient to one cell
    output.backward(torch.ones_like(output))
    assert features.grad is not None
    assert (features.grad >= 0).all()
    assert features.grad.sum() <= output.numel()
