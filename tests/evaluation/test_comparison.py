"""Differences of two models: intervals that cover, no difference found where there is none."""

import math

import numpy as np
import pytest

from maskrcnn_benchmark.evaluation.bootstrap import JudgedClass, draw_resamples, judged_classes
from maskrcnn_benchmark.evaluation.coco_eval import class_aps
from maskrcnn_benchmark.evaluation.coco_results import AP_METRICS
from maskrcnn_benchmark.evaluation.comparison import (
    MIN_IMAGES,
    Difference,
    compare_metrics,
    resampled_metrics,
)
from tests.evaluation.test_bootstrap import drawn, evaluated  # noqa: F401 a fixture
from tests.evaluation.test_coco_evaluator import IMAGES

RECALLS = np.linspace(0, 1, 101)
AREAS, THRESHOLDS = 4, 10


def simulated(rng, images, *, recall, share=1.0):
    """Return a class of which a model finds ``recall`` of the objects, with false positives.

    An image has 1 to 3 objects and is easy or hard; ``share`` is the part of the thresholds at
    which a detection is a true positive.
    """
    counts = rng.integers(1, 4, images)
    of_image = np.repeat(np.arange(images), counts)
    easy = rng.uniform(0.7, 1.3, images)[of_image]
    hits = rng.random(len(of_image)) < recall * easy
    scores = np.concatenate([rng.normal(1, 1, hits.sum()), rng.normal(0, 1, images)])
    where = np.concatenate([of_image[hits], rng.integers(0, images, images)])
    true = np.arange(len(scores)) < hits.sum()
    order = np.argsort(-scores, kind="stable")
    found = np.broadcast_to(true[order], (AREAS, THRESHOLDS, len(order))).copy()
    found[:, round(share * THRESHOLDS) :] = False
    counted = np.ones_like(found)
    objects = np.broadcast_to(counts, (AREAS, images))
    return JudgedClass(where[order], found, counted, objects)


def compared(a, b, times):
    metrics = [resampled_metrics(classes, times, RECALLS) for classes in (a, b)]
    return compare_metrics(*metrics, [f"class {k}" for k in range(len(a))])


def test_metrics_are_those_of_pycocotools(drawn):  # noqa: F811
    content, rows = drawn
    times = draw_resamples(len(IMAGES), 5, seed=0)
    evaluations = [evaluated(content, rows["segm"][start:], "segm") for start in (0, 60)]
    metrics = [
        resampled_metrics(judged_classes(one), times, one.params.recThrs) for one in evaluations
    ]
    found = compare_metrics(*metrics, [f"class {i}" for i in (10, 20, 30, 40)])
    a, b = (dict(zip(AP_METRICS, one.stats[:6], strict=True)) for one in evaluations)
    for metric, one in found.overall.items():
        assert (one.a, one.b) == pytest.approx((a[metric], b[metric]), abs=1e-12)
        assert one.difference == pytest.approx(b[metric] - a[metric], abs=1e-12)
        assert one.verdict == "few images"
    for name, ap in class_aps(evaluations[1]).items():
        one = found.per_class[name]["AP"]
        assert one.b == pytest.approx(ap, abs=1e-12) if ap >= 0 else math.isnan(one.b)
    assert found.per_class["class 40"]["AP"].verdict == "no objects"
    assert found.per_class["class 40"]["AP"].images == 0
    images = {a["image_id"] for a in content["annotations"] if not a["iscrowd"]}
    assert found.overall["AP"].images == len(images)


def test_equal_models_do_not_differ():
    rng = np.random.default_rng(0)
    classes = [simulated(rng, 40, recall=0.6), simulated(rng, 40, recall=0.4)]
    found = compared(classes, classes, draw_resamples(40, 50, seed=0))
    for one in [
        *found.overall.values(),
        *(d for c in found.per_class.values() for d in c.values()),
    ]:
        assert (one.difference, one.low, one.high, one.p_value) == (0, 0, 0, 1)
        assert one.verdict == "none"


def test_the_better_model_is_named():
    rng = np.random.default_rng(0)
    good, poor = simulated(rng, 60, recall=0.7), simulated(rng, 60, recall=0.3)
    times = draw_resamples(60, 50, seed=0)
    better = compared([poor], [good], times).overall["AP"]
    assert better.verdict == "B"
    assert 0 < better.low < better.difference < better.high
    worse = compared([good], [poor], times).overall["AP"]
    assert worse.verdict == "A"
    assert (worse.low, worse.high) == pytest.approx((-better.high, -better.low))
    assert worse.p_value == pytest.approx(better.p_value)


def test_only_the_metrics_of_a_threshold_differ_where_one_threshold_differs():
    rng = np.random.default_rng(0)
    good = simulated(rng, 60, recall=0.7)
    rough = JudgedClass(good.images, good.found.copy(), good.counted, good.objects)
    rough.found[:, 5:] = False  # IoU 0.75 and more
    rough.found[2] = False  # nothing of medium size
    found = compared([good], [rough], draw_resamples(60, 30, seed=0)).overall
    assert found["AP50"].difference == 0
    assert found["AP75"].b == 0
    assert found["AP"].b == pytest.approx(found["AP"].a / 2)
    assert found["APs"].b == pytest.approx(found["AP"].a / 2)
    assert found["APm"].b == 0
    assert found["APm"].verdict == "A"  # the same loss in every resample


def test_the_interval_covers_the_true_difference_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    a, b = {"recall": 0.65, "share": 0.8}, {"recall": 0.55, "share": 0.9}
    whole = [
        compared([simulated(rng, 5000, **a)], [simulated(rng, 5000, **b)], np.ones((1, 5000), int))
        for _ in range(3)
    ]
    true = np.mean([one.overall["AP"].difference for one in whole])
    covered, times, runs = 0, draw_resamples(50, 60, seed=0), 80
    for _ in range(runs):
        one = compared([simulated(rng, 50, **a)], [simulated(rng, 50, **b)], times).overall["AP"]
        covered += one.low <= true <= one.high
    assert 0.85 * runs <= covered <= 0.99 * runs


def test_models_of_equal_quality_rarely_differ_significantly():
    rng = np.random.default_rng(2)
    times, runs = draw_resamples(50, 60, seed=0), 80
    verdicts = [
        compared([simulated(rng, 50, recall=0.6)], [simulated(rng, 50, recall=0.6)], times)
        .overall["AP"]
        .verdict
        for _ in range(runs)
    ]
    assert verdicts.count("none") >= 0.88 * runs


def test_p_values_of_classes_are_corrected_for_their_number():
    rng = np.random.default_rng(3)
    pairs = [
        (simulated(rng, 60, recall=0.6), simulated(rng, 60, recall=recall))
        for recall in (0.5, 0.45, 0.6, 0.1)
    ]
    times = draw_resamples(60, 80, seed=0)
    together = compared(*zip(*pairs, strict=True), times).per_class
    corrected = [one["AP"].p_value for one in together.values()]
    single = [compared([a], [b], times).per_class["class 0"]["AP"].p_value for a, b in pairs]
    order = np.argsort(single)
    expected = np.maximum.accumulate(
        np.minimum(1, np.array([4, 3, 2, 1]) * np.array(single)[order])
    )
    np.testing.assert_allclose(np.array(corrected)[order], expected)
    assert corrected != single


def test_too_few_images_give_no_verdict_and_are_no_tests():
    rng = np.random.default_rng(4)
    times = draw_resamples(60, 40, seed=0)

    def in_images(count, recall):
        one = simulated(rng, 60, recall=recall)
        kept = one.images < count
        objects = np.where(np.arange(60) < count, one.objects, 0)
        return JudgedClass(one.images[kept], one.found[..., kept], one.counted[..., kept], objects)

    a = [in_images(MIN_IMAGES - 1, 0.9), in_images(60, 0.7)]
    b = [in_images(MIN_IMAGES - 1, 0.1), in_images(60, 0.5)]
    found = compared(a, b, times)
    rare, common = (one["AP"] for one in found.per_class.values())
    assert (rare.verdict, rare.images) == ("few images", MIN_IMAGES - 1)
    alone = compared(a[1:], b[1:], times).per_class["class 0"]["AP"]
    assert common.p_value == alone.p_value
    assert found.overall["AP"].images == 60


def test_a_class_without_detections_and_images_without_resamples():
    unknown = Difference(0.5, 0.25, math.nan, math.nan, math.nan, 30)
    assert unknown.verdict == "few images"
    rng = np.random.default_rng(5)
    good = simulated(rng, 30, recall=0.8)
    nothing = JudgedClass(
        np.zeros(0, np.int64), good.found[..., :0], good.counted[..., :0], good.objects
    )
    found = compared([nothing], [good], draw_resamples(30, 20, seed=0)).overall["AP"]
    assert (found.a, found.verdict) == (0, "B")
