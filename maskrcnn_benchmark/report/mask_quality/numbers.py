"""The numbers of a mask-quality report: what its figures show and its json holds."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.cocoeval import COCOeval

from maskrcnn_benchmark.evaluation.calibration import kept_quality, reliability
from maskrcnn_benchmark.evaluation.coco_eval import class_aps
from maskrcnn_benchmark.evaluation.coco_results import AP_METRICS
from maskrcnn_benchmark.evaluation.mask_ious import Floats
from maskrcnn_benchmark.evaluation.mask_quality import pearson, spearman
from maskrcnn_benchmark.evaluation.matched_masks import MatchedMasks
from maskrcnn_benchmark.structures.fields import CLASS_SCORE, MASK_IOU, MASK_SCORE, SCORE_KINDS

Bools = NDArray[np.bool_]
Json = dict[str, Any]

ORACLE = "oracle"  # the ranking by class score x true mask IoU
BEST = "best"  # the order of the true IoUs themselves, in the curve of what is kept
ALL, FOUND, CONFIDENT = "all", "found", "confident"

_FOUND_IOU = 0.5  # minimum box IoU of a mask that found an object
_CONFIDENT_SCORE = 0.5  # minimum class score of a confident one
_CURVE_POINTS = 101
PR_IOUS = (0.5, 0.75, 0.9)


def groups_of(matched: MatchedMasks) -> dict[str, Bools]:
    """Return which masks ``[N]`` belong to each group; those that are not judged are in none."""
    found = matched.is_judged & (matched.box_ious > _FOUND_IOU)
    groups = {ALL: matched.is_judged, FOUND: found}
    if CLASS_SCORE.key in matched.scores:
        groups[CONFIDENT] = found & (matched.scores[CLASS_SCORE.key] > _CONFIDENT_SCORE)
    return groups


def rankings_of(matched: MatchedMasks) -> dict[str, Floats]:
    """Return the scores ``[N]`` that rank the masks: the known ones, and the oracle's."""
    keys = (CLASS_SCORE.key, MASK_SCORE.key)
    rankings = {key: matched.scores[key] for key in keys if key in matched.scores}
    if CLASS_SCORE.key in rankings:
        rankings[ORACLE] = rankings[CLASS_SCORE.key] * matched.true_ious
    return rankings


def unknown_sentences(matched: MatchedMasks) -> list[str]:
    """Return what cannot be told because a score is unknown, a sentence for each score."""
    sentences = {
        CLASS_SCORE.key: (
            "The class scores are unknown (the file has mask scores, and no bbox.json is beside "
            "it), so the gain over ranking by class score and the oracle cannot be told."
        ),
        MASK_IOU.key: (
            "The predictions have no mask_iou, so the correlation, the calibration and the over- "
            "and under-rated masks cannot be told: they compare a predicted with the true mask IoU."
        ),
        MASK_SCORE.key: (
            "The predictions have no mask_score, so it cannot be told what ranking by mask score "
            "brings, nor how much of the head-room it reaches."
        ),
    }
    return [text for key, text in sentences.items() if key not in matched.scores]


def correlation_numbers(matched: MatchedMasks) -> Json:
    """Return, by group, the correlations of each known score with the true mask IoU."""
    return {
        name: _correlations(matched.select(chosen)) for name, chosen in groups_of(matched).items()
    }


def _correlations(group: MatchedMasks) -> Json:
    known = {
        key: {
            "pearson": _number(pearson(group.scores[key], group.true_ious)),
            "spearman": _number(spearman(group.scores[key], group.true_ious)),
        }
        for key in SCORE_KINDS
        if key in group.scores
    }
    return {"count": len(group), "mean_true": _mean(group.true_ious), **known}


def calibration_numbers(matched: MatchedMasks) -> Json:
    """Return, by group, the reliability of the predicted mask IoUs; empty if there are none."""
    if MASK_IOU.key not in matched.scores:
        return {}
    made = {}
    for name, chosen in groups_of(matched).items():
        found = reliability(matched.scores[MASK_IOU.key][chosen], matched.true_ious[chosen])
        bins = zip(
            found.edges, found.edges[1:], found.counts, found.predicted, found.true, strict=False
        )
        made[name] = {
            "count": int(found.counts.sum()),
            "ece": _number(found.ece),
            "bias": _number(found.bias),
            "mae": _number(found.mae),
            "bins": [
                {
                    "from": round(float(low), 6),
                    "to": round(float(high), 6),
                    "count": int(count),
                    "mean_predicted": _number(mean),
                    "mean_true": _number(true),
                }
                for low, high, count, mean, true in bins
            ],
        }
    return made


def ap_numbers(evaluations: Mapping[str, COCOeval]) -> Json:
    """Return the metrics of each ranking: fractions of 1, None without ground truth."""
    return {
        key: {
            name: _metric(value)
            for name, value in zip(AP_METRICS, evaluation.stats[: len(AP_METRICS)], strict=True)
        }
        for key, evaluation in evaluations.items()
    }


def class_numbers(evaluations: Mapping[str, COCOeval]) -> Json:
    """Return the AP of each class by each ranking, for classes with ground truth."""
    by_ranking = {key: class_aps(evaluation) for key, evaluation in evaluations.items()}
    names = next(iter(by_ranking.values()), {})
    return {
        name: {key: aps[name] for key, aps in by_ranking.items()}
        for name, value in names.items()
        if value >= 0
    }


def head_room(aps: Mapping[str, float | None]) -> Json:
    """Return what a better ranking of the same masks could bring, and the share that is reached.

    Args:
        aps: an AP by ranking.

    Returns:
        ``head_room``, the oracle's AP minus that by class score; ``gain``, the AP by mask score
        minus that by class score; ``reached``, gain / head_room. Unknown ones are None, and so is
        the last without head-room.
    """
    by_class, by_mask, by_oracle = (
        aps.get(key) for key in (CLASS_SCORE.key, MASK_SCORE.key, ORACLE)
    )
    room = None if by_oracle is None or by_class is None else by_oracle - by_class
    gain = None if by_mask is None or by_class is None else by_mask - by_class
    reached = gain / room if gain is not None and room is not None and room > 0 else None
    return {"head_room": room, "gain": gain, "reached": reached}


def head_room_numbers(ap: Mapping[str, Mapping[str, float | None]]) -> Json:
    """Return the head-room of each metric, given ``ap_numbers``."""
    return {
        metric: head_room({key: values[metric] for key, values in ap.items()})
        for metric in AP_METRICS
    }


def precision_numbers(evaluations: Mapping[str, COCOeval]) -> Json:
    """Return the precision at 101 recalls, mean over the classes, by IoU threshold and ranking."""
    return {
        f"{iou:.2f}": {key: _precision(e, iou) for key, e in evaluations.items()} for iou in PR_IOUS
    }


def threshold_numbers(evaluations: Mapping[str, COCOeval]) -> Json:
    """Return the AP at each of COCO's IoU thresholds, by ranking; empty without ground truth."""
    made: Json = {"iou": [], "ap": {}}
    for key, evaluation in evaluations.items():
        precision = evaluation.eval["precision"][:, :, :, 0, -1]  # [thresholds, recalls, classes]
        known = precision[:, :, (precision[0] > -1).all(axis=0)]
        made["iou"] = _rounded(evaluation.params.iouThrs)
        made["ap"][key] = _rounded(known.mean(axis=(1, 2))) if known.size else []
    return made


def _precision(evaluation: COCOeval, iou: float) -> list[float]:
    """Return the mean precision over the classes with ground truth, ``[101]`` or empty."""
    place = int(np.argmin(np.abs(evaluation.params.iouThrs - iou)))
    of_classes = evaluation.eval["precision"][place, :, :, 0, -1]  # [recalls, classes]
    known = of_classes[:, (of_classes > -1).all(axis=0)]
    return _rounded(known.mean(axis=1)) if known.size else []


def risk_numbers(matched: MatchedMasks) -> Json:
    """Return, by group and score, the mean true IoU of the masks kept.

    Each has ``curve``, its value where the share kept is 1/101, 2/101, ... 1 (rounded up to whole
    masks), and ``area``, its mean over all shares. ``best`` is the order of the true IoUs.
    """
    made = {}
    for name, chosen in groups_of(matched).items():
        group = matched.select(chosen)
        columns = {key: group.scores[key] for key in SCORE_KINDS if key in group.scores}
        columns[BEST] = group.true_ious
        made[name] = {key: _kept(values, group.true_ious) for key, values in columns.items()}
    return made


def _kept(scores: Floats, true: Floats) -> Json:
    kept = kept_quality(scores, true)
    if not len(kept):
        return {"area": None, "curve": []}
    shares = np.arange(1, _CURVE_POINTS + 1) / _CURVE_POINTS
    places = np.ceil(shares * len(kept) - 1e-9).astype(np.int64) - 1
    return {"area": _number(float(kept.mean())), "curve": _rounded(kept[places])}


def extreme_masks(matched: MatchedMasks, *, over: bool, limit: int) -> NDArray[np.int64]:
    """Return the indices of the masks whose predicted IoU is furthest above (or below) the true.

    Only confident masks that found an object, and the furthest one of each object.

    Args:
        matched: the masks.
        over: True for the over-rated ones, False for the under-rated ones.
        limit: the most that are returned.
    """
    if MASK_IOU.key not in matched.scores:
        return np.zeros(0, dtype=np.int64)
    groups = groups_of(matched)
    chosen = np.flatnonzero(groups.get(CONFIDENT, groups[FOUND]))
    gap = (matched.scores[MASK_IOU.key] - matched.true_ious)[chosen] * (1 if over else -1)
    order = np.argsort(-gap, kind="stable")
    order = order[gap[order] > 0]
    _, first = np.unique(matched.annotations[chosen[order]], return_index=True)
    return chosen[order[np.sort(first)[:limit]]]


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None


def _number(value: float) -> float | None:
    """Return a number for JSON: None for NaN."""
    return None if math.isnan(value) else float(value)


def _metric(value: float) -> float | None:
    """Return a metric of COCO, which is -1 without ground truth."""
    return None if value < 0 else float(value)


def _rounded(values: Iterable[float]) -> list[float]:
    return [round(float(value), 5) for value in values]
