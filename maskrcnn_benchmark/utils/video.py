"""Frames of videos and cameras, and videos of frames. Frames are uint8 RGB ``[H, W, 3]``.

Files need PyAV, the optional package ``av``.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]


class VideoError(ValueError):
    """A video file is none, or is broken."""


def load_av() -> Any:
    """Return PyAV.

    Raises:
        ImportError: it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise ImportError("videos need PyAV: pip install av") from error
    return av


@dataclass(frozen=True)
class VideoReader:
    """A video file. Iterating decodes it, turned upright as the camera noted.

    Attributes:
        path: the file.
        fps: frames per second, on average.
        num_frames: as the file says; 0 if it does not.
    """

    path: Path
    fps: Fraction
    num_frames: int

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames.

        Raises:
            VideoError: the file is broken.
        """
        av = load_av()
        try:
            with av.open(str(self.path)) as container:
                for frame in container.decode(video=0):
                    turns = round(frame.rotation / 90)
                    yield np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), turns))
        except av.FFmpegError as error:
            raise VideoError(f"video {self.path} cannot be read: {error.strerror}") from error


def open_video(path: Path) -> VideoReader:
    """Look into a video file.

    Raises:
        FileNotFoundError: there is no such file.
        VideoError: it is not a video.
        ImportError: PyAV is not installed.
    """
    av = load_av()
    if not path.is_file():
        raise FileNotFoundError(f"video {path} does not exist")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise VideoError(f"video {path} has no pictures in it")
            stream = container.streams.video[0]
            fps = stream.average_rate or stream.guessed_rate or Fraction(25)
            return VideoReader(path, Fraction(fps), stream.frames)
    except av.FFmpegError as error:
        raise VideoError(f"video {path} cannot be read: {error.strerror}") from error


def camera_frames(number: int) -> Iterator[Frame]:
    """Yield the newest frame of a camera, again and again.

    Raises:
        OSError: there is no such camera, or it has stopped.
    """
    camera = cv2.VideoCapture(number)
    camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    try:
        while True:
            there, frame = camera.read()
            if not there:
                raise OSError(f"camera {number} gives no picture: is it connected, and free?")
            yield np.ascontiguousarray(frame[..., ::-1])
    finally:
        camera.release()


def until_interrupt(frames: Iterable[Frame]) -> Iterator[tuple[Frame, float]]:
    """Yield frames with the seconds since the first was asked for; Ctrl-C ends them.

    So whatever uses a frame is finished before the end. Works in the main thread only.
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
    """Writes an MP4 file. It is there when the ``with`` block ends without an error, or not at all.

    Args:
        path: of the file; folders are made.
        fps: frames per second, for frames that are written without their time.
    """

    def __init__(self, path: Path, fps: Fraction) -> None:
        self._av = load_av()
        self._path = path
        self._draft = path.with_name(f"{path.name}.tmp")
        self._fps = fps
        self._container: Any = None
        self._stream: Any = None
        self._last = -1

    def __enter__(self) -> VideoWriter:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._container = self._av.open(str(self._draft), "w", format="mp4")
        return self

    def write(self, frame: Frame, seconds: float | None = None) -> None:
        """Append a frame; all have the size of the first.

        Args:
            frame: the picture; an odd side is extended by a pixel, as the format needs.
            seconds: when it is shown; None: at its turn.
        """
        height, width = frame.shape[:2]
        frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        if self._stream is None:
            self._stream = self._open_stream(frame.shape[1], frame.shape[0])
        ticks = round((self._last + 1) if seconds is None else seconds * self._fps)
        self._last = max(ticks, self._last + 1)
        picture = self._av.VideoFrame.from_ndarray(frame, format="rgb24")
        picture.pts, picture.time_base = self._last, 1 / self._fps
        self._container.mux(self._stream.encode(picture))

    def _open_stream(self, width: int, height: int) -> Any:
        codec = "libx264" if "libx264" in self._av.codecs_available else "mpeg4"
        stream = self._container.add_stream(codec, rate=self._fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        if codec == "libx264":
            stream.options = {"crf": "18", "preset": "veryfast"}
        else:
            stream.options = {"qscale": "3"}
        return stream

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None and self._stream is not None:
                self._container.mux(self._stream.encode(None))
            self._container.close()
            if kind is None and self._stream is not None:
                self._draft.replace(self._path)
        finally:
            self._draft.unlink(missing_ok=True)
