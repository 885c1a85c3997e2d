"""Predict on images and videos: pictures with both scores, and a COCO json with all three.

``python tools/predict.py --weights output/demo/model_final.pth --input photos --output found``
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
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
from maskrcnn_benchmark.structures.fields import SCORE_KINDS
from maskrcnn_benchmark.utils.atomic_file import write_atomically
from maskrcnn_benchmark.utils.file_names import fitted_name, name_in_text
from maskrcnn_benchmark.utils.imports import add_import_option
from maskrcnn_benchmark.utils.user_error import UserError, failures_named, user_errors

Item = TypeVar("Item")
CAMERA = re.compile(r"webcam:(\d+)")
CAMERA_FPS = Fraction(30)
NO_FOLDER = Path("nothing_is_written")


def positive(text: str) -> int:
    """Parse a positive integer."""
    number = int(text)
    if number < 1:
        raise ValueError(f"{number} is less than 1")
    return number


def device_name(text: str) -> str:
    """Check that torch has such a kind of device."""
    try:
        torch.device(text)
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is none of cuda, cuda:N and cpu") from error
    return text


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Predict on images and videos.")
    parser.add_argument(
        "--weights",
        required=True,
        metavar="FILE",
        help="a checkpoint, an address or a catalog:// name",
    )
    parser.add_argument(
        "--config-file", metavar="FILE", help="of weights that do not hold their config"
    )
    parser.add_argument(
        "--input",
        required=True,
        nargs="+",
        metavar="INPUT",
        help="images, videos, folders, quoted patterns; or webcam:0, until Ctrl-C",
    )
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="to write to")
    parser.add_argument(
        "--show",
        action="store_true",
        help="show camera and videos in a window, with the frames per second; q or Esc ends it",
    )
    parser.add_argument(
        "--score-key",
        choices=tuple(SCORE_KINDS),
        help="what --threshold applies to; default: mask_score, of a model without it score",
    )
    parser.add_argument(
        "--threshold", type=float, default=0.5, help="least score of a detection (0.5)"
    )
    parser.add_argument("--format", choices=("png", "json", "both"), default="both")
    parser.add_argument("--batch-size", type=positive, default=1, metavar="N", help="at once (1)")
    parser.add_argument(
        "--device", type=device_name, help="cuda, cuda:N or cpu; default: a GPU if there is one"
    )
    add_import_option(parser)
    parser.add_argument(
        "--opts",
        nargs="+",
        default=[],
        metavar="KEY VALUE",
        help="settings that go before the config's, such as INPUT.MIN_SIZE_TEST 400",
    )
    args = parser.parse_args(argv)
    if args.output is None and not args.show:
        parser.error("say what to do with the pictures: --output FOLDER, --show, or both")
    return args


@dataclass
class Run:
    """State shared by all inputs of a run."""

    predictor: Predictor
    score_key: str | None
    threshold: float
    batch_size: int
    pictures: bool
    json: bool
    window: Window | None
    images: int = 0
    detections: int = 0
    broken: list[str] = field(default_factory=list)

    def predict(self, images: Sequence[Any]) -> list[Prediction]:
        """Predict on a batch; keep detections that reach the threshold, in descending order."""
        found = self.predictor(images, batch_size=self.batch_size)
        chosen = [prediction.select(self.score_key, self.threshold) for prediction in found]
        self.images += len(chosen)
        self.detections += sum(map(len, chosen))
        return chosen

    def report(self, error: Exception) -> None:
        """Report a broken input and continue."""
        self.broken.append(str(error))
        tqdm.write(f"skipped: {error}", file=sys.stderr)


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield lists of ``size`` items; the last one may be shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def predict_images(run: Run, files: Sequence[Path], outputs: Sequence[Path], folder: Path) -> None:
    """Predict on image files; the JSON is written even if the run is interrupted."""
    root = common_folder(files)
    found = ResultsFile(*run.predictor.classes)
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


def read_or_report(run: Run, path: Path) -> Image.Image | None:
    """Read an image; None if it is broken."""
    try:
        return read_image(path)
    except UserError as error:
        run.report(error)
        return None


def write_png(path: Path, picture: Image.Image) -> None:
    """Write an image atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda file: picture.save(file, "PNG"))


def predict_video(run: Run, path: Path, output: Path) -> None:
    """Predict on each frame of a video file; write nothing if it is broken."""
    try:
        video = open_video(path)
        with progress_bar(video.num_frames, unit="frame") as bar:
            predict_frames(run, watched(video, bar), video.fps, output)
    except UserError as error:
        run.report(error)


def watched(items: Iterable[Item], bar: tqdm[Any]) -> Iterator[Item]:
    """Yield the items and advance the bar."""
    for item in items:
        yield item
        bar.update()


def predicted(run: Run, frames: Iterable[TimedFrame]) -> Iterator[tuple[TimedFrame, Prediction]]:
    """Yield each frame and what is found in it."""
    for batch in batches(frames, run.batch_size):
        yield from zip(batch, run.predict([frame for frame, _ in batch]), strict=True)


def predict_frames(run: Run, frames: Iterable[TimedFrame], fps: Fraction, output: Path) -> None:
    """Predict on frames with their times; write the video and ``<its name>.json``, or show it."""
    found = ResultsFile(*run.predictor.classes)
    with contextlib.ExitStack() as stack:
        writer = stack.enter_context(VideoWriter(output, fps)) if run.pictures else None
        for index, ((frame, seconds), prediction) in enumerate(predicted(run, frames)):
            found.add(name_in_text(output.name), prediction, frame=index)
            if writer is None and run.window is None:
                continue
            # frames keep their size, and classes their color from frame to frame
            picture = np.asarray(draw(frame, prediction, color_by="class", long_side=0))
            if writer is not None:
                writer.write(picture, seconds)
            if run.window is not None and not run.window.show(picture):
                break
    if run.json:
        found.write(output.with_name(fitted_name(output.name, ".json")))


def predict_files(run: Run, files: dict[Path, Path], folder: Path) -> None:
    """Predict on image and video files; ``files`` maps each to its output."""
    images = {path: output for path, output in files.items() if not is_video(path)}
    if images:
        predict_images(run, list(images), list(images.values()), folder)
    for path, output in files.items():
        if is_video(path):
            predict_video(run, path, output)


def find_files(args: argparse.Namespace) -> dict[Path, Path]:
    """Return the images and videos of the command line, each with its output."""
    media = find_media(
        [n for n in args.input if not CAMERA.fullmatch(n)], outside=args.output or NO_FOLDER
    )
    if media.notice():
        sys.stderr.write(f"{media.notice()}\n")
    if not media.files:
        return {}
    if args.output is None and not all(map(is_video, media.files)):
        raise UserError("--show shows cameras and videos; for images give --output FOLDER")
    outputs = output_paths(media.files, args.output or NO_FOLDER, searched=media.searched)
    return dict(zip(media.files, outputs, strict=True))


def make_run(args: argparse.Namespace) -> Run:
    """Load the model and take the options of the command line; open the window."""
    predictor = Predictor.from_checkpoint(
        args.weights, config_file=args.config_file, opts=args.opts, device=args.device
    )
    return Run(
        predictor,
        args.score_key,
        args.threshold,
        args.batch_size,
        pictures=args.output is not None and args.format != "json",
        json=args.output is not None and args.format != "png",
        window=Window() if args.show else None,
    )


def predict_inputs(args: argparse.Namespace) -> Run:
    """Do what the command line says; returns what became of it."""
    with user_errors():
        files, run = find_files(args), make_run(args)
    predict_files(run, files, args.output or NO_FOLDER)
    for camera in (int(match[1]) for name in args.input if (match := CAMERA.fullmatch(name))):
        output = (args.output or NO_FOLDER) / f"webcam_{camera}.mp4"
        predict_frames(run, until_interrupt(camera_frames(camera)), CAMERA_FPS, output)
    return run


@failures_named()
def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    args = parse_arguments(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    run = predict_inputs(args)
    written = "" if args.output is None else f", in {args.output}"
    print(f"{run.detections} detections in {run.images} images{written}")
    if run.broken:
        sys.exit(f"{len(run.broken)} inputs could not be read")


if __name__ == "__main__":
    main()
