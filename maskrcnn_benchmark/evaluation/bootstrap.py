"""COCO's average precision of resampled data sets: images are matched once, counted often.

In a bootstrap resample, an image occurs 0, 1, 2 or more times. Its detections are matched with its
objects in the same way every time, so the AP of a resample follows from the matches that COCOeval
made and from how often each image occurs: a true positive of an image that occurs twice counts as
two, at the same score. The result equals that of COCOeval on a data set with copies of the images,
to rounding, if no two scores are equal; equal ones keep the order of the original data set.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pycocotools.cocoeval import COCOeval

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Counts = NDArray[np.int64]

_CELLS = 4_000_000  # detections x resamples computed at a time


@dataclass(frozen=True)
class JudgedClass:
    """The detections of one class in I images, as COCOeval matched them.

    A areas (all, small, medium, large), T IoU thresholds, D detections.

    Attributes:
        images: int64 ``[D]``, index of the image; the best score first.
        found: bool ``[A, T, D]``, true positives.
        counted: bool ``[A, T, D]``, true and false positives; the others are ignored.
        objects: int64 ``[A, I]``, number of objects that are not ignored.
    """

    images: Counts
    found: Bools
    counted: Bools
    objects: Counts


def judged_classes(evaluation: COCOeval) -> list[JudgedClass]:
    """Return the matches of an evaluation by pycocotools, class by class.

    Args:
        evaluation: after ``evaluate``, with the largest limit of detections per image.
    """
    params = evaluation.params
    shape = (len(params.catIds), len(params.areaRng), len(params.imgIds))
    cells = iter(evaluation.evalImgs)  # classes, areas and images in this order
    return [_judged(_of_class(cells, shape), len(params.iouThrs)) for _ in range(shape[0])]


Cell = dict[str, NDArray[np.float64]]


def _of_class(cells: Iterator[Cell | None], shape: tuple[int, int, int]) -> list[list[Cell | None]]:
    _, areas, images = shape
    return [[next(cells) for _ in range(images)] for _ in range(areas)]


def _judged(cells: list[list[Cell | None]], thresholds: int) -> JudgedClass:
    """Return the matches of a class from its cells by area and image."""
    objects = np.zeros((len(cells), len(cells[0])), dtype=np.int64)
    matched: list[list[Bools]] = [[np.zeros((thresholds, 0), np.bool_)] for _ in cells]
    ignored: list[list[Bools]] = [[np.zeros((thresholds, 0), np.bool_)] for _ in cells]
    scores, images = [np.zeros(0)], [np.zeros(0, dtype=np.int64)]
    for area, of_area in enumerate(cells):
        for image, cell in enumerate(of_area):
            if cell is None:
                continue
            objects[area, image] = np.count_nonzero(np.asarray(cell["gtIgnore"]) == 0)
            if not len(cell["dtScores"]):
                continue
            matched[area].append(np.asarray(cell["dtMatches"]) != 0)
            ignored[area].append(np.asarray(cell["dtIgnore"], dtype=np.bool_))
            if area == 0:  # the detections are the same in all
                scores.append(np.asarray(cell["dtScores"], dtype=np.float64))
                images.append(np.full(len(cell["dtScores"]), image))
    order = np.argsort(-np.concatenate(scores), kind="mergesort")  # as COCOeval sorts ties
    counted = ~np.stack([np.concatenate(parts, axis=1)[:, order] for parts in ignored])
    hit = np.stack([np.concatenate(parts, axis=1)[:, order] for parts in matched])
    return JudgedClass(np.concatenate(images)[order], hit & counted, counted, objects)


def draw_resamples(images: int, resamples: int, seed: int) -> Counts:
    """Return how often each image occurs in each resample, int64 ``[R, I]``; rows sum to I."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(images, np.full(images, 1 / images), size=resamples)


def average_precision(judged: JudgedClass, times: Counts, recalls: Floats) -> Floats:
    """Return the AP of a class in each resample.

    Args:
        judged: the class.
        times: ``[R, I]``, how often each image occurs.
        recalls: the recalls at which the precision is averaged (``recThrs``).

    Returns:
        ``[A, T, R]``; NaN where a resample has no object.
    """
    areas, thresholds, detections = judged.found.shape
    made = np.zeros((areas, thresholds, len(times)))
    step = max(1, _CELLS // max(1, detections))
    for start in range(0, len(times), step):
        part = times[start : start + step]
        weights = part.T[judged.images]  # [D, R]
        for area in range(areas):
            objects = part @ judged.objects[area]
            made[area, :, start : start + step] = _of_area(
                weights, judged.found[area], judged.counted[area], objects, recalls
            )
    return made


def _of_area(
    weights: Counts, found: Bools, counted: Bools, objects: Counts, recalls: Floats
) -> Floats:
    """Return the AP ``[T, R]``; ``weights`` is ``[D, R]``, ``objects`` ``[R]``."""
    # most detections are the same at every threshold: a false positive, or ignored
    is_false = np.all(counted & ~found, axis=0)
    special = np.flatnonzero(~is_false & counted.any(axis=0))
    false = np.cumsum(weights * is_false[:, None], axis=0)[special]
    weights = weights[special]
    aps = np.full((len(found), len(objects)), np.nan)
    some = objects > 0
    for threshold in range(len(found)):
        hits = np.flatnonzero(found[threshold, special])
        total = false + np.cumsum(weights * counted[threshold, special, None], axis=0)
        true = np.cumsum(weights[hits], axis=0)
        aps[threshold, some] = _area_under_curve(
            true[:, some], total[hits][:, some], objects[some], recalls
        )
    return aps


def _area_under_curve(true: Counts, total: Counts, objects: Counts, recalls: Floats) -> Floats:
    """Return the mean precision ``[R]`` at ``recalls``.

    Only the precision at true positives matters: between them it falls, and COCO takes the highest
    one at the same or a higher recall.

    Args:
        true: ``[P, R]``, number of true positives up to each one.
        total: ``[P, R]``, number of detections up to it.
        objects: ``[R]``, number of objects.
        recalls: see ``average_precision``.
    """
    if not len(true):
        return np.zeros(len(objects))
    precision = true / (total + np.spacing(1))
    highest = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    reached = np.searchsorted(recalls, true / objects, side="right")  # number of recalls
    here = np.diff(reached, axis=0, prepend=0)
    return (highest * here).sum(axis=0) / len(recalls)
