"""Is one model better than another? Differences of COCO's metrics with bootstrap intervals.

Both models are evaluated on the same resamples of the images, so that hard and easy images count
for both. The interval of a difference is the difference on the data set +- 1.96 standard deviations
of the differences of the resamples; the p-value belongs to the same normal distribution. (The ends
of such an interval need far fewer resamples than percentiles do, and the p-value of a resample
count cannot be small enough to correct it for 80 classes. Centered on the data set itself, it is
free of the bias of the bootstrap, whose copies of images raise AP.)
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from maskrcnn_benchmark.evaluation.bootstrap import Counts, JudgedClass, average_precision
from maskrcnn_benchmark.evaluation.coco_results import AP_METRICS

Floats = NDArray[np.float64]

MIN_IMAGES = 10  # below, resamples of the images do not show how much the difference varies
LEVEL = 0.05  # of significance
_WIDTH = 1.959963984540054  # standard deviations on each side: 95 %
_AREAS = (0, 0, 0, 1, 2, 3)  # of each metric of AP_METRICS
_THRESHOLDS = (slice(None), slice(0, 1), slice(5, 6), slice(None), slice(None), slice(None))


@dataclass(frozen=True)
class ResampledMetrics:
    """COCO's metrics of K classes in R resamples; NaN where there is no object.

    Attributes:
        values: ``[K, 6]``, the metrics of ``AP_METRICS`` on the data set.
        resampled: ``[K, 6, R]``.
        images: int64 ``[K, 6]``, number of images with an object that counts.
        all_images: int64 ``[6]``, the same for all classes together.
    """

    values: Floats
    resampled: Floats
    images: Counts
    all_images: Counts


def resampled_metrics(
    classes: Sequence[JudgedClass],
    times: Counts,
    recalls: Floats,
    *,
    advance: Callable[[], object] = lambda: None,
) -> ResampledMetrics:
    """Return the metrics of a model, on the data set and resampled.

    Args:
        classes: at least one class; areas and IoU thresholds are COCO's.
        times: see ``draw_resamples``.
        recalls: see ``average_precision``.
        advance: called after each class.
    """
    times = np.concatenate([np.ones_like(times[:1]), times])
    metrics, images = [], []
    for judged in classes:
        aps = average_precision(judged, times, recalls)  # [areas, thresholds, resamples]
        metrics.append(
            [aps[area, t].mean(axis=0) for area, t in zip(_AREAS, _THRESHOLDS, strict=True)]
        )
        images.append(np.count_nonzero(judged.objects, axis=1)[list(_AREAS)])
        advance()
    found = np.array(metrics)
    objects = np.sum([judged.objects for judged in classes], axis=0)
    all_images = np.count_nonzero(objects, axis=1)[list(_AREAS)]
    return ResampledMetrics(found[..., 0], found[..., 1:], np.array(images), all_images)


@dataclass(frozen=True)
class Difference:
    """A metric of two models.

    Attributes:
        a: of the first model, a fraction of 1; NaN without objects.
        b: of the second.
        low: lower end of the 95 % interval of ``b - a``; NaN with fewer than ``MIN_IMAGES``.
        high: upper end; NaN too.
        p_value: two-sided, of no difference; NaN too.
        images: number of images with objects.
    """

    a: float
    b: float
    low: float
    high: float
    p_value: float
    images: int

    @property
    def difference(self) -> float:
        """``b - a``."""
        return self.b - self.a

    @property
    def verdict(self) -> str:
        """``A``, ``B`` (the better model), ``none``, ``few images`` or ``no objects``."""
        if self.images == 0:
            return "no objects"
        if math.isnan(self.p_value):
            return "few images"
        if self.p_value >= LEVEL:
            return "none"
        return "B" if self.difference > 0 else "A"


@dataclass(frozen=True)
class TaskComparison:
    """The metrics of a task.

    Attributes:
        overall: metric of ``AP_METRICS`` -> difference, of the mean over all classes.
        per_class: class -> metric -> difference; their p-values are corrected for the number of
            classes by Holm's method, for each metric; the intervals are not.
    """

    overall: Mapping[str, Difference]
    per_class: Mapping[str, Mapping[str, Difference]]


def compare_metrics(
    a: ResampledMetrics, b: ResampledMetrics, names: Sequence[str]
) -> TaskComparison:
    """Compare two models that were evaluated on the same resamples.

    Args:
        a: of the first model.
        b: of the second.
        names: class names.
    """
    overall = {}
    per_class: dict[str, dict[str, Difference]] = {name: {} for name in names}
    for index, metric in enumerate(AP_METRICS):
        both = [(m.values[:, index], m.resampled[:, index]) for m in (a, b)]
        means = [(_mean(values[:, None]), _mean(samples)) for values, samples in both]
        (value_a, samples_a), (value_b, samples_b) = means
        overall[metric] = _difference(
            float(value_a[0]), float(value_b[0]), samples_b - samples_a, int(a.all_images[index])
        )
        own = [
            _difference(
                float(both[0][0][k]),
                float(both[1][0][k]),
                both[1][1][k] - both[0][1][k],
                int(a.images[k, index]),
            )
            for k in range(len(names))
        ]
        for name, one in zip(names, _holm(own), strict=True):
            per_class[name][metric] = one
    return TaskComparison(overall, per_class)


def _mean(values: Floats) -> Floats:
    """Return the mean over classes ``[R]`` of ``[K, R]`` without NaN; NaN if there is no other."""
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    total = np.where(known, values, 0).sum(axis=0)
    return np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)


def _difference(a: float, b: float, samples: Floats, images: int) -> Difference:
    """Return the difference of two values with the interval that ``[R]`` samples of it give."""
    known = samples[~np.isnan(samples)]
    if images < MIN_IMAGES or len(known) < 2:
        return Difference(a, b, math.nan, math.nan, math.nan, images)
    deviation = float(known.std(ddof=1))
    half = _WIDTH * deviation
    return Difference(a, b, b - a - half, b - a + half, _p_value(b - a, deviation), images)


def _p_value(difference: float, deviation: float) -> float:
    if difference == 0 or deviation == 0:  # such as when one model finds all, the other nothing
        return float(difference == 0)
    return math.erfc(abs(difference) / deviation / math.sqrt(2))


def _holm(differences: Sequence[Difference]) -> list[Difference]:
    """Return the differences with p-values corrected by Holm's method.

    Differences without enough images are no tests: they do not count, and stay as they are.
    """
    made = list(differences)
    tested = [i for i, one in enumerate(made) if one.verdict in ("A", "B", "none")]
    highest = 0.0
    for rank, index in enumerate(sorted(tested, key=lambda i: made[i].p_value)):
        highest = max(highest, min(1.0, (len(tested) - rank) * made[index].p_value))
        made[index] = replace(made[index], p_value=highest)
    return made
