"""How suspicious the annotations of one image are, by what a model predicts there.

Of a prediction ``p``: class score ``s``, predicted mask IoU ``q`` (1 if unknown); of it and an
annotation ``a``: mask IoU ``r``. A prediction supports an annotation by ``s * r``. All suspicions
lie in [0, 1]:

- poor mask: ``s * (1 - exp(-z**2 / 2))`` of the prediction of a's class that supports ``a`` most,
  with ``z = max(0, (q - r - center) / spread)``: by how many deviations ``r`` falls short of what
  the model expects, more than usual in these annotations. Where the model itself expects a poor
  mask, its disagreement says little.
- wrong class: ``s * q * r`` of a prediction of another class, less the support by a's own class
- missing: ``s * q * (1 - r)`` of a prediction that means no annotation, ``r`` being its largest
- extra: what the presence of ``a`` lacks to the mean presence of the ten annotations of its class
  nearest to it in area, presence being the largest ``s`` of the predictions that can mean one, of
  any class. Of small objects or a class that the model hardly finds, it says little that it did
  not find ``a``.

A prediction can mean an annotation if their IoU is at least ``SAME_OBJECT``.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

SAME_OBJECT = 0.3
NO_PREDICTION = -1

_FEW = 20
_LEAST_SPREAD = 0.02


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


@dataclass(frozen=True)
class Usual:
    """What is usual of expected minus agreed mask IoU, ``q - r``, in a data set."""

    center: float = 0.0
    spread: float = 0.1


def usual_shortfall(shortfalls: Floats) -> Usual:
    """Return median and spread (1.48 times the median deviation, as of a normal distribution).

    Args:
        shortfalls: ``[N]``, of ``shortfalls``; of fewer than 20 nothing can be told, and what is
            usual of a well-trained model is returned.
    """
    if len(shortfalls) < _FEW:
        return Usual()
    center = float(np.median(shortfalls))
    spread = 1.4826 * float(np.median(np.abs(shortfalls - center)))
    return Usual(center, max(spread, _LEAST_SPREAD))


def supporters(evidence: Evidence) -> Suspicion:
    """Return, of each annotation, the largest support by its own class, and the prediction."""
    return _largest(np.where(evidence.is_own_class & evidence.can_mean, evidence.support, 0.0))


def shortfalls(evidence: Evidence) -> Floats:
    """Return ``q - r`` of each annotation that has a supporter."""
    found = supporters(evidence).predictions
    columns = np.flatnonzero(found != NO_PREDICTION)
    rows = found[columns]
    return evidence.expected_ious[rows] - evidence.ious[rows, columns]


def poor_masks(evidence: Evidence, usual: Usual) -> Suspicion:
    """Return how likely the mask of each annotation is poor."""
    speaks = np.arange(len(evidence.ious))[:, None] == supporters(evidence).predictions
    shortfall = evidence.expected_ious[:, None] - evidence.ious
    z = ((shortfall - usual.center) / usual.spread).clip(0)
    unusual = evidence.class_scores[:, None] * (1 - np.exp(-(z**2) / 2))
    return _largest(np.where(speaks, unusual, 0.0))


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
        mean_presence: ``[A]``, the mean presence of similar annotations.
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
