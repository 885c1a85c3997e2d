"""Masks on what a camera sees, or on a video, with the frames per second.

``python demo/webcam.py --weights output/demo/model_final.pth``; ``--video FILE`` reads a file in
place of the camera, ``--output FILE`` writes a video in place of a window. q, Esc or Ctrl-C end it.
"""

import argparse
import time
from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import matplotlib.pyplot as plt
import numpy as np

from maskrcnn_benchmark.predict.predictor import Predictor, draw
from maskrcnn_benchmark.predict.video import (
    Frame,
    TimedFrame,
    VideoWriter,
    camera_frames,
    open_video,
    until_interrupt,
)
from maskrcnn_benchmark.structures.fields import SCORE_KINDS
from maskrcnn_benchmark.utils.user_error import UserError, failures_named, user_errors

WINDOW = "Mask Scoring R-CNN"
CAMERA_FPS = Fraction(30)
QUIT_KEYS = ("q", "escape")


class FrameRate:
    """Frames per second over the last frames."""

    def __init__(self, span: int = 10) -> None:
        self._times: deque[float] = deque(maxlen=span + 1)

    def tick(self, now: float) -> float:
        """Count a frame that is ready at ``now`` seconds; returns the rate, 0 at the first."""
        self._times.append(now)
        passed = now - self._times[0]
        return (len(self._times) - 1) / passed if passed > 0 else 0.0


def render(predictor: Predictor, frame: Frame, *, score_key: str | None, threshold: float) -> Frame:
    """Return the frame with its detections, in its size; a class keeps its color."""
    prediction = predictor(frame).select(score_key, threshold)
    return np.array(draw(frame, prediction, color_by="class", long_side=0))


def write_rate(picture: Frame, rate: float) -> None:
    """Write the frames per second into the upper left corner."""
    for color, width in (((0, 0, 0), 4), ((255, 255, 255), 1)):
        text = f"{rate:.1f} fps"
        cv2.putText(picture, text, (8, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.6, color, width)


def rendered(
    predictor: Predictor,
    frames: Iterable[TimedFrame],
    *,
    score_key: str | None,
    threshold: float,
) -> Iterator[TimedFrame]:
    """Yield each frame with its detections and the frames per second reached."""
    rate = FrameRate()
    rate.tick(time.perf_counter())
    for frame, seconds in frames:
        picture = render(predictor, frame, score_key=score_key, threshold=threshold)
        write_rate(picture, rate.tick(time.perf_counter()))
        yield picture, seconds


def show(pictures: Iterable[TimedFrame]) -> None:
    """Show pictures in a window until the user ends it.

    Raises:
        UserError: no window can be opened.
    """
    if plt.get_backend().lower() == "agg":
        raise UserError(
            "no window can be opened here (there is no display, or Python has no tkinter): "
            "write a file with --output"
        )
    figure, axes = plt.subplots(num=WINDOW, layout="constrained")
    axes.axis("off")
    figure.canvas.mpl_connect(
        "key_press_event", lambda event: plt.close(figure) if event.key in QUIT_KEYS else None
    )
    shown = None
    for picture, _ in pictures:
        shown = axes.imshow(picture) if shown is None else shown
        shown.set_data(picture)
        plt.pause(0.001)
        if not plt.fignum_exists(WINDOW):
            break
    plt.close(figure)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Masks on a camera's pictures or on a video.")
    parser.add_argument("--weights", required=True, help="a checkpoint")
    parser.add_argument("--config-file", help="of weights that do not hold their config")
    parser.add_argument("--camera", type=int, default=0, help="index of the camera")
    parser.add_argument("--video", type=Path, help="a file in place of the camera")
    parser.add_argument("--output", type=Path, help="video to write, in place of a window")
    parser.add_argument(
        "--score-key", choices=tuple(SCORE_KINDS), help="what --threshold applies to"
    )
    parser.add_argument("--threshold", type=float, default=0.5, help="least score (0.5)")
    parser.add_argument("--min-image-size", type=int, help="short side for the model: speed")
    return parser.parse_args()


def run(args: argparse.Namespace) -> None:
    """Do what the command line says."""
    size = [] if args.min_image_size is None else ["INPUT.MIN_SIZE_TEST", args.min_image_size]
    with user_errors():
        predictor = Predictor.from_checkpoint(args.weights, config_file=args.config_file, opts=size)
        video = None if args.video is None else open_video(args.video)
    frames = until_interrupt(camera_frames(args.camera)) if video is None else video
    options = {"score_key": args.score_key, "threshold": args.threshold}
    pictures = rendered(predictor, frames, **options)
    if args.output is None:
        show(pictures)
        return
    with VideoWriter(args.output, CAMERA_FPS if video is None else video.fps) as writer:
        for picture, seconds in pictures:
            writer.write(picture, seconds)


@failures_named()
def main() -> None:
    """Run the command line."""
    run(parse_arguments())


if __name__ == "__main__":
    main()
