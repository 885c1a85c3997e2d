"""Prediction on images, videos and cameras; results are written or displayed."""

import contextlib
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image
from tqdm import tqdm

from maskrcnn_benchmark.data.datasets.images import read_image
from maskrcnn_benchmark.engine.progress import progress_bar
from maskrcnn_benchmark.predict.media import common_folder, find_media, is_video, output_paths
from maskrcnn_benchmark.predict.prediction import Prediction
from maskrcnn_benchmark.predict.predictor import Predictor, draw
from maskrcnn_benchmark.predict.results_file import ResultsFile
from maskrcnn_benchmark.predict.video import (
    TimedFrame,
    VideoWriter,
    camera_frames,
    open_video,
    until_interrupt,
)
from maskrcnn_benchmark.predict.window import Window
from maskrcnn_benchmark.utils.atomic_file import write_atomically
from maskrcnn_benchmark.utils.file_names import fitted_name, name_in_text
from maskrcnn_benchmark.utils.user_error import UserError

Item = TypeVar("Item")
_CAMERA = re.compile(r"webcam:(\d+)")
_CAMERA_FPS = Fraction(30)
_NO_FOLDER = Path("nothing_is_written")


@dataclass
class PredictionRun:
    """A model, its output options, and statistics of the inputs processed so far.

    Attributes:
        predictor: the model.
        score_key: score that ``threshold`` applies to, see ``Prediction.select``.
        threshold: minimum score of the detections to keep.
        batch_size: images or frames per batch.
        pictures: whether to write images and videos with the detections drawn.
        json: whether to write the detections as COCO JSON.
        window: window that shows videos and cameras; None: no window.
        images: number of images and frames predicted on.
        detections: number of detections kept.
        broken: a message for each input that could not be read.
    """

    predictor: Predictor
    score_key: str | None = None
    threshold: float = 0.5
    batch_size: int = 1
    pictures: bool = True
    json: bool = True
    window: Window | None = None
    images: int = 0
    detections: int = 0
    broken: list[str] = field(default_factory=list)

    def predict(self, images: Sequence[Any]) -> list[Prediction]:
        """Predict on a batch; return the detections above the threshold, sorted by score."""
        found = self.predictor(images, batch_size=self.batch_size)
        chosen = [prediction.select(self.score_key, self.threshold) for prediction in found]
        self.images += len(chosen)
        self.detections += sum(map(len, chosen))
        return chosen

    def report(self, error: Exception) -> None:
        """Record and print an unreadable input."""
        self.broken.append(str(error))
        tqdm.write(f"skipped: {error}", file=sys.stderr)


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield lists of ``size`` items; the last one may be shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def predict_images(
    run: PredictionRun, files: Sequence[Path], outputs: Sequence[Path], folder: Path
) -> None:
    """Predict on image files; the JSON is written even if the run is interrupted."""
    root = common_folder(files)
    found = ResultsFile(*run.predictor.classes, run.predictor.keypoint_set)
    with contextlib.ExitStack() as stack:
        if run.json:
            stack.callback(lambda: found.write(folder / "predictions.json"))
        bar = stack.enter_context(progress_bar(len(files), unit="image"))
        for batch in batches(zip(files, outputs, strict=True), run.batch_size):
            readable = [
                (path, output, image)
                for path, output in batch
                if (image := read_or_report(run, path)) is not None
            ]
            predictions = run.predict([image for _, _, image in readable])
            for (path, output, image), prediction in zip(readable, predictions, strict=True):
                name = path.absolute().relative_to(root).as_posix()
                found.add(name_in_text(name), prediction)
                if run.pictures:
                    write_png(output, draw(image, prediction))
            bar.update(len(batch))


def read_or_report(run: PredictionRun, path: Path) -> Image.Image | None:
    """Read an image; on failure, report the error and return None."""
    try:
        return read_image(path)
    except UserError as error:
        run.report(error)
        return None


def write_png(path: Path, picture: Image.Image) -> None:
    """Write an image atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda file: picture.save(file, "PNG"))


def predict_video(run: PredictionRun, path: Path, output: Path) -> None:
    """Predict on each frame of a video file; write nothing if it is broken."""
    try:
        video = open_video(path)
        with progress_bar(video.num_frames, unit="frame") as bar:
            predict_frames(run, watched(video, bar), video.fps, output)
    except UserError as error:
        run.report(error)


def watched(items: Iterable[Item], bar: "tqdm[Any]") -> Iterator[Item]:
    """Yield the items and advance the bar."""
    for item in items:
        yield item
        bar.update()


def predicted(
    run: PredictionRun, frames: Iterable[TimedFrame]
) -> Iterator[tuple[TimedFrame, Prediction]]:
    """Yield each frame with its prediction."""
    for batch in batches(frames, run.batch_size):
        yield from zip(batch, run.predict([frame for frame, _ in batch]), strict=True)


def predict_frames(
    run: PredictionRun, frames: Iterable[TimedFrame], fps: Fraction, output: Path
) -> None:
    """Predict on timed frames; write a video and ``<video name>.json``, or show the frames."""
    found = ResultsFile(*run.predictor.classes, run.predictor.keypoint_set)
    with contextlib.ExitStack() as stack:
        writer = stack.enter_context(VideoWriter(output, fps)) if run.pictures else None
        for index, ((frame, seconds), prediction) in enumerate(predicted(run, frames)):
            found.add(name_in_text(output.name), prediction, frame=index)
            if writer is None and run.window is None:
                continue
            # keep the frame size, and color by class so that colors do not change between frames
            picture = np.asarray(draw(frame, prediction, color_by="class", long_side=0))
            if writer is not None:
                writer.write(picture, seconds)
            if run.window is not None and not run.window.show(picture):
                break
    if run.json:
        found.write(output.with_name(fitted_name(output.name, ".json")))


def predict_files(run: PredictionRun, files: dict[Path, Path], folder: Path | None) -> None:
    """Predict on image and video files.

    Args:
        run: the model and its options.
        files: input file -> output file, see ``find_files``.
        folder: receives ``predictions.json`` of the images; None if there are only videos.
    """
    images = {path: output for path, output in files.items() if not is_video(path)}
    if images:
        assert folder is not None, "find_files requires a folder for images"
        predict_images(run, list(images), list(images.values()), folder)
    for path, output in files.items():
        if is_video(path):
            predict_video(run, path, output)


def find_files(inputs: Sequence[str], folder: Path | None) -> dict[Path, Path]:
    """Find the image and video files among the inputs and map each to its output file.

    Args:
        inputs: files, folders and glob patterns; cameras (``webcam:0``) are skipped.
        folder: output folder, excluded from the search; None: nothing is written.

    Raises:
        UserError: an input matches no file, or images are given without an output folder.
    """
    media = find_media(
        [name for name in inputs if not _CAMERA.fullmatch(name)], outside=folder or _NO_FOLDER
    )
    if media.notice():
        sys.stderr.write(f"{media.notice()}\n")
    if not media.files:
        return {}
    if folder is None and not all(map(is_video, media.files)):
        raise UserError("--show shows cameras and videos; for images, specify --output FOLDER")
    outputs = output_paths(media.files, folder or _NO_FOLDER, searched=media.searched)
    return dict(zip(media.files, outputs, strict=True))


def predict_cameras(run: PredictionRun, inputs: Sequence[str], folder: Path | None) -> None:
    """Predict on the cameras (``webcam:0``) among the inputs, each until Ctrl-C."""
    for camera in (int(match[1]) for name in inputs if (match := _CAMERA.fullmatch(name))):
        output = (folder or _NO_FOLDER) / f"webcam_{camera}.mp4"
        predict_frames(run, until_interrupt(camera_frames(camera)), _CAMERA_FPS, output)
