"""One image with its detections, as the web page shows them: any threshold, ranking, highlight.

The model runs once, in ``inspect_image``. Detections are numbered from 1 in their default order;
number and color of a detection stay the same whatever is chosen.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from maskrcnn_benchmark.predict.prediction import Prediction
from maskrcnn_benchmark.predict.predictor import Predictor
from maskrcnn_benchmark.predict.results_file import ResultsFile
from maskrcnn_benchmark.structures.class_names import Classes
from maskrcnn_benchmark.utils.atomic_file import write_atomically
from maskrcnn_benchmark.utils.file_names import fitted_name, name_in_text
from maskrcnn_benchmark.visualization.draw import Picture, draw_instances
from maskrcnn_benchmark.visualization.instances import Instances

CONFIDENT, POOR = 0.7, 0.7  # at least this class score, below this predicted mask IoU
LONG_SIDE = 1200  # of the picture, in pixels
_NUMBER = "number"  # field of the detections
_DIMMED = 0.4  # brightness around a highlighted instance


@dataclass(frozen=True)
class Choice:
    """What to show of the detections.

    Attributes:
        score_key: score to rank and threshold by, see ``Prediction.ranking``.
        threshold: minimum score.
        highlighted: number of the detection to highlight, or None.
    """

    score_key: str
    threshold: float
    highlighted: int | None = None


@dataclass(frozen=True)
class Row:
    """A detection in the table; scores that the model does not predict are None."""

    number: int
    name: str
    score: float
    mask_iou: float | None
    mask_score: float | None

    @property
    def is_confident_but_poor(self) -> bool:
        """Whether the class is sure and the mask, by its predicted IoU, is not good."""
        return self.mask_iou is not None and self.score >= CONFIDENT and self.mask_iou < POOR


@dataclass(frozen=True, eq=False)
class Inspection:
    """An image and all of its detections.

    Attributes:
        name: file name of the image.
        image: RGB uint8 ``[H, W, 3]``, its long side resized to ``LONG_SIDE``.
        prediction: detections in pixels of the file, numbered.
        shown: the same in pixels of ``image``.
        classes: of the model.
    """

    name: str
    image: Picture
    prediction: Prediction
    shown: Prediction
    classes: Classes
    _folder: TemporaryDirectory[str] = field(  # removed with this object
        default_factory=lambda: TemporaryDirectory(prefix="mask_scores_"), repr=False
    )

    def rows(self, choice: Choice) -> list[Row]:
        """Return the chosen detections, best first."""
        return _rows(self.prediction.select(choice.score_key, choice.threshold))

    def picture(self, choice: Choice) -> Picture:
        """Return the image with the chosen detections drawn, RGB uint8 ``[H, W, 3]``.

        With a highlighted detection, that one alone is labeled, and its surroundings are dimmed.
        """
        found = self.shown.select(choice.score_key, choice.threshold)
        wanted = _numbers(found) == choice.highlighted
        if not wanted.any():
            return _draw(self.image, found)
        (index,) = np.flatnonzero(wanted).tolist()
        others = _draw(self.image, found[~wanted], with_labels=False)
        mask = found.mask(index, self.image.shape[:2])
        dimmed = np.where(mask[..., None], self.image, others * np.float32(_DIMMED))
        return _draw(dimmed.astype(np.uint8), found[[index]])

    def number_at(self, choice: Choice, x: int, y: int) -> int | None:
        """Return the number of the smallest chosen detection at a pixel of the picture, or None."""
        found = self.shown.select(choice.score_key, choice.threshold)
        masks = [found.mask(index, self.image.shape[:2]) for index in range(len(found))]
        numbers = _numbers(found).tolist()
        hit = [(int(m.sum()), n) for m, n in zip(masks, numbers, strict=True) if m[y, x]]
        return min(hit)[1] if hit else None

    def write_picture(self, choice: Choice) -> Path:
        """Write ``picture`` as PNG and return its path; the file lives as long as this object."""
        path = Path(self._folder.name, fitted_name(Path(self.name).stem, "_instances.png"))
        picture = Image.fromarray(self.picture(choice))
        write_atomically(path, lambda file: picture.save(file, "PNG", compress_level=1))
        return path

    def write_json(self, choice: Choice) -> Path:
        """Write the chosen detections as COCO JSON, in pixels of the file; return its path."""
        path = Path(self._folder.name, fitted_name(Path(self.name).stem, ".json"))
        found = ResultsFile(*self.classes, self.prediction.keypoint_set)
        chosen = self.prediction.select(choice.score_key, choice.threshold)
        found.add(name_in_text(self.name), chosen)
        found.write(path)
        return path


def inspect_image(name: str, image: Image.Image, predictor: Predictor) -> Inspection:
    """Run the model on an image and return the image with all detections.

    Args:
        name: file name of the image.
        image: RGB.
        predictor: the model.
    """
    prediction = predictor(image).select()
    numbers = torch.arange(1, len(prediction) + 1)
    prediction.detections.add_field(_NUMBER, numbers)
    factor = LONG_SIDE / max(image.size)
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    method = cv2.INTER_CUBIC if factor > 1 else cv2.INTER_AREA
    shown = replace(prediction, detections=prediction.detections.resize(size))
    for masks in (prediction, shown):
        masks.rles()  # pasted here, once, and not with every change of the choice
    resized = np.asarray(cv2.resize(np.asarray(image), size, interpolation=method), np.uint8)
    return Inspection(name, resized, prediction, shown, predictor.classes)


def _rows(found: Prediction) -> list[Row]:
    unknown = [None] * len(found)
    columns = (
        _numbers(found).tolist(),
        found.names,
        found.scores.tolist(),
        unknown if found.mask_ious is None else found.mask_ious.tolist(),
        unknown if found.mask_scores is None else found.mask_scores.tolist(),
    )
    return [Row(*values) for values in zip(*columns, strict=True)]


def _numbers(found: Prediction) -> NDArray[np.int64]:
    return found.detections.get_field(_NUMBER).numpy()


def _draw(image: Picture, found: Prediction, with_labels: bool = True) -> Picture:
    """Draw detections in the colors of their numbers, labeled with number, mark and scores."""
    size = image.shape[:2]
    edges = [found.box(index, size) for index in range(len(found))]
    names = [f"{r.number} {'⚠ ' * r.is_confident_but_poor}{r.name}" for r in _rows(found)]
    instances = Instances(
        masks=found.rles(),
        boxes=np.reshape(edges, (-1, 4)) - (0, 0, 1, 1),
        labels=_numbers(found) - 1,
        names=names if with_labels else None,
        scores=found.scores if with_labels else None,
        mask_ious=found.mask_ious if with_labels else None,
        keypoints=found.keypoints,
        skeleton=found.skeleton,
    )
    return draw_instances(
        image, instances, color_by="class", long_side=0, draw_boxes=instances.masks is None
    )
