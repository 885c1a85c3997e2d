"""Calibration error by hand, and the quality of the masks kept by a loop."""

import math

import numpy as np
import pytest

from maskrcnn_benchmark.evaluation.calibration import kept_quality, reliability


def test_the_calibration_error_of_five_masks_by_hand():
    predicted = np.array([0.12, 0.18, 0.55, 0.95, 0.91])
    true = np.array([0.10, 0.40, 0.50, 0.60, 0.80])
    found = reliability(predicted, true)
    # bin 0.1: |0.15 - 0.25| of 2; bin 0.5: |0.55 - 0.5| of 1; bin 0.9: |0.93 - 0.7| of 2
    assert found.ece == pytest.approx(2 / 5 * 0.10 + 1 / 5 * 0.05 + 2 / 5 * 0.23)
    assert found.bias == pytest.approx((2.71 - 2.40) / 5)
    assert found.mae == pytest.approx((0.02 + 0.22 + 0.05 + 0.35 + 0.11) / 5)
    assert found.counts.tolist() == [0, 2, 0, 0, 0, 1, 0, 0, 0, 2]
    np.testing.assert_allclose(found.predicted[[1, 5, 9]], [0.15, 0.55, 0.93])
    np.testing.assert_allclose(found.true[[1, 5, 9]], [0.25, 0.5, 0.7])
    assert np.isnan(found.predicted[0])
    np.testing.assert_allclose(found.edges, np.arange(11) / 10)


def test_the_edges_of_bins_and_values_beyond_them():
    predicted = np.array([0, 0.1, 0.3, 0.6, 0.7, 1, 1.3, -0.2])
    found = reliability(predicted, np.zeros(8))
    assert found.counts.tolist() == [2, 1, 0, 1, 0, 0, 1, 1, 0, 2]
    assert found.predicted[9] == pytest.approx(1.15)
    assert found.predicted[0] == pytest.approx(-0.1)


def test_errors_within_a_bin_cancel_in_its_gap_but_not_in_the_mean_error():
    found = reliability(np.array([0.5, 0.5]), np.array([0.3, 0.7]))
    assert found.ece == pytest.approx(0)
    assert found.mae == pytest.approx(0.2)


def test_calibration_without_masks():
    found = reliability(np.zeros(0), np.zeros(0))
    assert found.counts.sum() == 0
    assert all(map(math.isnan, (found.ece, found.bias, found.mae)))


def kept_by_a_loop(scores, true):
    """Return the expected mean over all orders of equal scores, by averaging random orders."""
    rng = np.random.default_rng(0)
    total = np.zeros(len(true))
    rounds = 4000
    for _ in range(rounds):
        shuffled = rng.permutation(len(true))
        order = shuffled[np.argsort(-scores[shuffled], kind="stable")]
        total += [true[order][:k].mean() for k in range(1, len(true) + 1)]
    return total / rounds


def test_the_quality_of_the_masks_kept_is_that_of_a_loop():
    scores = np.array([0.2, 0.9, 0.5, 0.7])
    true = np.array([0.1, 0.8, 0.6, 0.3])
    expected = [0.8, (0.8 + 0.3) / 2, (0.8 + 0.3 + 0.6) / 3, (0.8 + 0.3 + 0.6 + 0.1) / 4]
    np.testing.assert_allclose(kept_quality(scores, true), expected)


def test_equal_scores_have_no_order():
    scores = np.array([0.5, 0.9, 0.5, 0.5, 0.1])
    true = np.array([0.9, 0.6, 0.1, 0.2, 0.3])
    expected = kept_by_a_loop(scores, true)
    np.testing.assert_allclose(kept_quality(scores, true), expected, atol=0.02)
    mirrored = kept_quality(scores[::-1], true[::-1])
    np.testing.assert_allclose(kept_quality(scores, true), mirrored)
    np.testing.assert_allclose(kept_quality(np.zeros(5), true), np.full(5, true.mean()))
    assert kept_quality(np.zeros(0), np.zeros(0)).shape == (0,)
