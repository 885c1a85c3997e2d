"""How suspicious the annotations of one image are, by what a model predicts there.

Of a prediction ``p``: class score ``s``, predicted mask IoU ``q`` (1 if unknown); of it and an
annotation ``a``: mask IoU ``r``. A prediction supports an annotation by ``s * r``. All suspicions
lie in [0, 1]; they are what the mask IoU is expected to gain if the model is followed:

- poor mask: ``s * max(0, q - r)`` of the prediction of a's class that supports ``a`` most. Where
  the model itself expects a poor mask, its disagreement says little.
- wrong class: ``s * q * r`` of a prediction of another class, less the support by a's own class
- missing: ``s * q * (1 - r)`` of a prediction that means no annotation, ``r`` being its largest
- extra: what the presence of ``a`` lacks to the mean presence in its class, presence being the
  largest ``s`` of the predictions that can mean ``a``, of any class. Where the model finds little
  of a class anyway, it says little that it did not find ``a``.

A prediction can mean an annotation if their IoU is at least ``SAME_OBJECT``.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

SAME_OBJECT = 0.3
NO_PREDICTION = -1


@dataclass(frozen=True)
class Evidence:
    """P predictions and A annotations of an image.

    Attributes:
        ious: ``[P, A]`` mask IoUs.
        is_own_class: bool ``[P, A]``, whether the classes are equal.
        class_scores: ``[P]``.
        expected_ious: ``[P]``, predicted mask IoUs; all 1 to go by the class score.
        ignored: ``[P]``, the largest share of a prediction in a region that is not labeled object
            by object, such as a crowd.
    """

    ious: Floats
    is_own_class: NDArray[np.bool_]
    class_scores: Floats
    expected_ious: Floats
    ignored: Floats

    @property
    def support(self) -> Floats:
        """How much each prediction supports each annotation, ``[P, A]``."""
        return self.class_scores[:, None] * self.ious

    @property
    def can_mean(self) -> NDArray[np.bool_]:
        """Whether a prediction can mean an annotation, bool ``[P, A]``."""
        return self.ious >= SAME_OBJECT


@dataclass(frozen=True)
class Suspicion:
    """Of each annotation ``[A]``: the suspicion, and the prediction that raises it.

    ``predictions`` are indices, ``NO_PREDICTION`` where there is none.
    """

    values: Floats
    predictions: Indices


def poor_masks(evidence: Evidence) -> Suspicion:
    """Return how likely the mask of each annotation is poor."""
    support = np.where(evidence.is_own_class & evidence.can_mean, evidence.support, 0.0)
    best = _largest(support)
    speaks = np.arange(len(support))[:, None] == best.predictions
    gain = evidence.class_scores[:, None] * (evidence.expected_ious[:, None] - evidence.ious)
    return _largest(np.where(speaks, gain, 0.0))


def wrong_classes(evidence: Evidence) -> Suspicion:
    """Return how likely the class of each annotation is wrong."""
    own = np.where(evidence.is_own_class, evidence.support, 0.0).max(axis=0, initial=0.0)
    other = evidence.expected_ious[:, None] * evidence.support - own
    return _largest(np.where(~evidence.is_own_class & evidence.can_mean, other, 0.0))


def missing_objects(evidence: Evidence) -> Floats:
    """Return how likely each prediction ``[P]`` is an object that was not annotated."""
    overlap = np.maximum(evidence.ious.max(axis=1, initial=0.0), evidence.ignored)
    values = evidence.class_scores * evidence.expected_ious * (1 - overlap)
    return np.where(evidence.can_mean.any(axis=1), 0.0, values)


def presence(evidence: Evidence) -> Suspicion:
    """Return how sure the model is that there is an object where each annotation is."""
    return _largest(np.where(evidence.can_mean, evidence.class_scores[:, None], 0.0))


def extra_objects(evidence: Evidence, mean_presence: Floats) -> Suspicion:
    """Return how likely each annotation is of nothing.

    Args:
        evidence: of the image.
        mean_presence: ``[A]``, the mean presence of all annotations of its class.
    """
    found = presence(evidence)
    return Suspicion((mean_presence - found.values).clip(0), found.predictions)


def _largest(values: Floats) -> Suspicion:
    """Return the largest positive value of each column of ``[P, A]``, and its row; else 0."""
    if not len(values):
        return Suspicion(np.zeros(values.shape[1]), np.full(values.shape[1], NO_PREDICTION))
    rows = values.argmax(axis=0)
    largest = values.max(axis=0).clip(0)
    return Suspicion(largest, np.where(largest > 0, rows, NO_PREDICTION))
