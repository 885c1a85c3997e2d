"""Reviews of labels, from a model or from the predictions that it made earlier."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO

from maskrcnn_benchmark.engine.launch.prediction import PredictionRun, find_files, predict_files
from maskrcnn_benchmark.engine.progress import progress_bar
from maskrcnn_benchmark.predict.predictor import Predictor
from maskrcnn_benchmark.predict.results_file import ResultsFile
from maskrcnn_benchmark.report.annotations import read_annotations
from maskrcnn_benchmark.report.crops import read_annotated_image
from maskrcnn_benchmark.report.detections import read_detections
from maskrcnn_benchmark.review.findings import review_labels
from maskrcnn_benchmark.review.report import write_review
from maskrcnn_benchmark.review.unlabeled import order_images, write_unlabeled
from maskrcnn_benchmark.utils.user_error import UserError

PREDICTIONS = "predictions.json"  # of a model, in the output folder


def review_annotated(
    source: Predictor | Path,
    annotations: Path,
    images: Path,
    output: Path,
    *,
    by: str,
    top: int,
    batch_size: int = 1,
) -> str:
    """Compare annotations with predictions, and write what is suspicious.

    Args:
        source: a model, or its predictions, see ``report.detections``.
        annotations: the COCO file.
        images: folder of its images.
        output: see ``write_review``.
        by: see ``review_labels``.
        top: how many findings are shown.
        batch_size: images at once.

    Returns:
        A line on what was written.
    """
    coco = read_annotations(annotations)
    if isinstance(source, Predictor):
        path = output / PREDICTIONS
        _predict_annotated(source, coco, images, path, batch_size=batch_size)
        source = path
    detected = read_detections(source, coco)
    review = review_labels(coco, detected, by=by)
    title = f"Label review of {annotations.name}"
    page = write_review(review, coco, detected, images, output, title=title, top=top)
    return f"{len(review.findings)} suspicions, the most suspicious first: {page}"


def order_unlabeled(
    source: Predictor | Path,
    images: Path,
    output: Path,
    *,
    threshold: float,
    top: int,
    batch_size: int = 1,
) -> str:
    """Order unlabeled images by doubt, and write predictions as annotations to start from.

    Args:
        source: a model, or its predictions by ``tools/predict.py``.
        images: folder of the images.
        output: see ``write_unlabeled``.
        threshold: least score of a prediction that becomes an annotation.
        top: how many images are shown.
        batch_size: images at once.

    Returns:
        A line on what was written.
    """
    if isinstance(source, Predictor):
        if not images.is_dir():
            raise UserError(f"image folder {images} does not exist")
        run = PredictionRun(source, threshold=0.0, batch_size=batch_size, pictures=False)
        predict_files(run, find_files([str(images)], output), output)
        source = output / PREDICTIONS
    doubts = order_images(source)
    page = write_unlabeled(doubts, source, images, output, threshold=threshold, top=top)
    return f"{len(doubts)} images, the most doubtful first: {page}"


def _predict_annotated(
    predictor: Predictor, coco: COCO, images: Path, path: Path, *, batch_size: int
) -> None:
    """Write all detections in the images of an annotation file, as ``tools/predict.py`` does."""
    entries = list(coco.imgs.values())

    def read() -> Iterator[NDArray[np.uint8]]:
        for entry in entries:
            yield read_annotated_image(images, entry)

    found = ResultsFile(*predictor.classes, predictor.keypoint_set)
    with progress_bar(len(entries), unit="image") as bar:
        predictions = predictor.stream(read(), batch_size=batch_size)
        for entry, prediction in zip(entries, predictions, strict=True):
            found.add(entry["file_name"], prediction)
            bar.update()
    found.write(path)
