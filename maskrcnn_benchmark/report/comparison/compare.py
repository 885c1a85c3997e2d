"""Two models on the same data set: what differs, and whether it is more than chance."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from pycocotools.coco import COCO
from tqdm import tqdm

from maskrcnn_benchmark.evaluation.bootstrap import Counts, draw_resamples, judged_classes
from maskrcnn_benchmark.evaluation.coco_results import SEGM_BY_CLASS_SCORE
from maskrcnn_benchmark.evaluation.comparison import (
    ResampledMetrics,
    TaskComparison,
    compare_metrics,
    resampled_metrics,
)
from maskrcnn_benchmark.evaluation.found_objects import FoundObjects, found_objects
from maskrcnn_benchmark.evaluation.ground_truth import class_names
from maskrcnn_benchmark.report.comparison.results import ModelResult, common_tasks


@dataclass(frozen=True)
class Settings:
    """How two models are compared.

    Attributes:
        resamples: number of bootstrap resamples of the images.
        seed: of the resamples.
        min_score: detections with a lower class score count as not found when single objects are
            compared; the AP counts all detections.
        pictures: number of objects to show that A, and that B, finds better.
    """

    resamples: int = 1000
    seed: int = 0
    min_score: float = 0.5
    pictures: int = 12

    def __post_init__(self) -> None:
        if self.resamples < 2:
            raise ValueError(f"resamples is {self.resamples}; it must be at least 2")
        for name in ("seed", "pictures"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must not be negative")


@dataclass(frozen=True)
class Comparison:
    """Two models, compared.

    Attributes:
        a: the first.
        b: the second.
        settings: how they were compared.
        titles: task -> title.
        tasks: task -> differences.
        object_task: the task that ``found`` belongs to.
        found: how well each of the two found each annotation.
    """

    a: ModelResult
    b: ModelResult
    settings: Settings
    titles: Mapping[str, str]
    tasks: Mapping[str, TaskComparison]
    object_task: str
    found: tuple[FoundObjects, FoundObjects]

    @property
    def coco(self) -> COCO:
        """The annotations."""
        return self.a.coco


def compare_results(a: ModelResult, b: ModelResult, settings: Settings) -> Comparison:
    """Compare two models.

    Raises:
        ValueError: they have no task in common, or there are no annotations.
    """
    if not a.coco.anns:
        raise ValueError("the annotation file has no annotations: there is nothing to compare with")
    titles = common_tasks(a, b)
    object_task = next(t for t in (SEGM_BY_CLASS_SCORE, "segm", "bbox") if t in titles)
    times = draw_resamples(len(a.coco.imgs), settings.resamples, settings.seed)
    names = list(class_names(a.coco).values())
    tasks, found = {}, {}
    for task, title in titles.items():
        metrics: dict[str, ResampledMetrics] = {}
        for letter, model in (("a", a), ("b", b)):
            logging.getLogger(__name__).info(f"{model.name}: {title}")
            own = _evaluated(model, task, times, settings.min_score)
            metrics[letter], found[task, letter] = own
        tasks[task] = compare_metrics(metrics["a"], metrics["b"], names)
    of_objects = (found[object_task, "a"], found[object_task, "b"])
    return Comparison(a, b, settings, titles, tasks, object_task, of_objects)


def _evaluated(
    model: ModelResult, task: str, times: Counts, min_score: float
) -> tuple[ResampledMetrics, FoundObjects]:
    """Return the metrics of a model, and how well it found each object."""
    evaluation = model.evaluate(task)
    objects = found_objects(evaluation, min_score)
    classes = judged_classes(evaluation)
    with tqdm(total=len(classes), unit="class", disable=None, leave=False) as bar:
        recalls = evaluation.params.recThrs
        return resampled_metrics(classes, times, recalls, advance=bar.update), objects
