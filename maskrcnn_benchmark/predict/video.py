"""Reading of videos and cameras, and writing of videos. Frames are uint8 RGB ``[H, W, 3]``.

Video files require PyAV, the optional package ``av``.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from maskrcnn_benchmark.utils.atomic_file import draft_path
from maskrcnn_benchmark.utils.user_error import MissingFileError, MissingPackageError, UserError

Frame = NDArray[np.uint8]
TimedFrame = tuple[Frame, float | None]  # with seconds since the first frame; None: unknown

_TICKS_PER_SECOND = 90_000  # approximate; an integer number of ticks per frame at common rates
_MOST_TICKS_OF_MPEG4 = 65_535  # limit of the MPEG-4 standard


class VideoError(UserError):
    """Raised for a file that is not a video or is corrupt."""


def load_av() -> Any:
    """Import and return PyAV.

    Raises:
        MissingPackageError: it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise MissingPackageError("videos need PyAV: pip install av") from error
    return av


@dataclass(frozen=True)
class VideoReader:
    """A video file. Iterating decodes it and applies the rotation stored by the camera.

    Attributes:
        path: the file.
        fps: frames per second, on average.
        num_frames: as stated by the file; 0 if unknown.
    """

    path: Path
    fps: Fraction
    num_frames: int

    def __iter__(self) -> Iterator[TimedFrame]:
        """Yield the frames with their times, which need not be evenly spaced.

        Raises:
            VideoError: the file is broken.
        """
        av = load_av()
        first: float | None = None
        try:
            with av.open(str(self.path)) as container:
                for frame in container.decode(video=0):
                    first = frame.time if first is None else first
                    seconds = None if frame.time is None else frame.time - first
                    turns = round(frame.rotation / 90)
                    pixels = np.rot90(frame.to_ndarray(format="rgb24"), turns)
                    yield np.ascontiguousarray(pixels), seconds
        except av.FFmpegError as error:
            raise VideoError(f"video {self.path} cannot be read: {error.strerror}") from error


def open_video(path: Path) -> VideoReader:
    """Open a video file.

    Raises:
        MissingFileError: there is no such file.
        VideoError: it is not a video.
        MissingPackageError: PyAV is not installed.
    """
    av = load_av()
    if not path.is_file():
        raise MissingFileError(f"video {path} does not exist")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise VideoError(f"{path} has no video stream")
            stream = container.streams.video[0]
            fps = stream.average_rate or stream.guessed_rate or Fraction(25)
            return VideoReader(path, Fraction(fps), stream.frames)
    except av.FFmpegError as error:
        raise VideoError(f"video {path} cannot be read: {error.strerror}") from error


def camera_frames(index: int) -> Iterator[Frame]:
    """Yield the latest frame of a camera (0 is the first one), repeatedly.

    Raises:
        UserError: the camera does not exist or has stopped delivering frames.
    """
    camera = cv2.VideoCapture(index)
    camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    try:
        while True:
            there, frame = camera.read()
            if not there:
                raise UserError(
                    f"camera {index} delivers no image: is it connected, and not in use elsewhere?"
                )
            yield np.ascontiguousarray(frame[..., ::-1])
    finally:
        camera.release()


def until_interrupt(frames: Iterable[Frame]) -> Iterator[tuple[Frame, float]]:
    """Yield frames with the seconds since the first was requested; Ctrl-C ends the iteration.

    The consumer finishes its current frame first. Works in the main thread only.
    """
    stop = threading.Event()
    handler = signal.signal(signal.SIGINT, lambda *_: stop.set())
    began = time.perf_counter()
    try:
        for frame in frames:
            if stop.is_set():
                return
            yield frame, time.perf_counter() - began
    finally:
        signal.signal(signal.SIGINT, handler)


class VideoWriter:
    """Writer of an MP4 file, which appears only if the ``with`` block ends without an error.

    Args:
        path: path of the file; its folder is created if needed.
        fps: average frames per second; also spaces the frames that are written without a time.
    """

    def __init__(self, path: Path, fps: Fraction) -> None:
        self._av = load_av()
        self._path = path
        self._draft = draft_path(path)
        self._fps = fps
        self._codec = "libx264" if "libx264" in self._av.codecs_available else "mpeg4"
        ticks = round(_TICKS_PER_SECOND / fps)
        if self._codec == "mpeg4":
            ticks = min(ticks, _MOST_TICKS_OF_MPEG4 // fps.numerator)
        self._ticks_per_frame = max(1, ticks)
        self._tick = 1 / (fps * self._ticks_per_frame)
        self._container: Any = None
        self._stream: Any = None
        self._last, self._next = -1, 0  # frame, in ticks

    def __enter__(self) -> VideoWriter:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._container = self._av.open(str(self._draft), "w", format="mp4")
        return self

    def write(self, frame: Frame, seconds: float | None = None) -> None:
        """Append a frame; all frames have the size of the first.

        Args:
            frame: an odd side is extended by one pixel, as the format requires.
            seconds: presentation time; None: one frame interval after the previous frame.
        """
        height, width = frame.shape[:2]
        frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        if self._stream is None:
            self._stream = self._open_stream(frame.shape[1], frame.shape[0])
        ticks = self._next if seconds is None else max(round(seconds / self._tick), self._last + 1)
        self._last, self._next = ticks, ticks + self._ticks_per_frame
        picture = self._av.VideoFrame.from_ndarray(frame, format="rgb24")
        picture.pts, picture.time_base = ticks, self._tick
        self._mux(picture)

    def _mux(self, picture: Any) -> None:
        for packet in self._stream.encode(picture):
            packet.duration = self._ticks_per_frame  # matters for the last frame only
            self._container.mux(packet)

    def _open_stream(self, width: int, height: int) -> Any:
        stream = self._container.add_stream(self._codec, rate=self._fps)
        stream.codec_context.time_base = self._tick
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        if self._codec == "libx264":
            # no B-frames: they distort the length of a video with uneven frame times
            stream.options = {"crf": "18", "preset": "veryfast", "bf": "0"}
        else:
            stream.options = {"qscale": "3"}
        return stream

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None and self._stream is not None:
                self._mux(None)
            self._container.close()
            if kind is None and self._stream is not None:
                self._draft.replace(self._path)
        finally:
            self._draft.unlink(missing_ok=True)
