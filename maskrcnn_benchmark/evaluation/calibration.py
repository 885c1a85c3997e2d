"""How far a predicted mask IoU can be trusted: calibration, and what is gained by keeping less."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BINS = 10


@dataclass(frozen=True)
class Reliability:
    """Predicted and true IoUs of N masks in B bins of equal width over the predicted IoU.

    Attributes:
        edges: ``[B + 1]``, from 0 to 1.
        counts: int ``[B]``.
        predicted: ``[B]``, mean predicted IoU in each bin; NaN in an empty one.
        true: ``[B]``, mean true IoU in each bin; NaN in an empty one.
        ece: expected calibration error, the sum over the bins of ``counts / N`` times
            ``|predicted - true|``; NaN without masks.
        bias: mean predicted minus mean true IoU; NaN without masks.
        mae: mean of ``|predicted IoU - true IoU|`` over the masks; NaN without masks.
    """

    edges: Floats
    counts: NDArray[np.int64]
    predicted: Floats
    true: Floats
    ece: float
    bias: float
    mae: float


def reliability(predicted: Floats, true: Floats, *, bins: int = BINS) -> Reliability:
    """Return the reliability of predicted IoUs ``[N]`` against true ones ``[N]``.

    A predicted IoU below 0 or above 1, which a regression may give, is in the first or last bin,
    with its own value. A bin includes its lower edge; the last one includes 1 too.
    """
    # the small number keeps a value such as 0.3, which is 2.9999... bins, in its own bin
    places = np.floor(predicted * bins + 1e-9).clip(0, bins - 1).astype(np.int64)
    counts = np.bincount(places, minlength=bins)
    sums = [np.bincount(places, weights=v, minlength=bins) for v in (predicted, true)]
    means = [np.divide(s, counts, out=np.full(bins, np.nan), where=counts > 0) for s in sums]
    edges = np.linspace(0, 1, bins + 1)
    if not len(true):
        nan = float("nan")
        return Reliability(edges, counts, means[0], means[1], nan, nan, nan)
    ece = float(np.abs(sums[0] - sums[1]).sum()) / len(true)
    gap = predicted - true
    return Reliability(
        edges, counts, means[0], means[1], ece, float(gap.mean()), float(np.abs(gap).mean())
    )


def kept_quality(scores: Floats, true: Floats) -> Floats:
    """Return the mean true IoU of the k masks with the highest scores, for k = 1 ... N: ``[N]``.

    Masks of equal scores count with their mean, so that their order does not matter.

    Args:
        scores: ``[N]``.
        true: ``[N]``, true IoUs.
    """
    _, block = np.unique(-scores, return_inverse=True)
    counts = np.bincount(block)
    means = np.bincount(block, weights=true) / np.maximum(counts, 1)
    # unique() sorts, so that the blocks are in order of descending score
    kept: Floats = np.cumsum(np.repeat(means, counts)) / np.arange(1, len(true) + 1)
    return kept
