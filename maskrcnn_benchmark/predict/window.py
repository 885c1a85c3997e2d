"""A window that displays video frames live, with the frame rate."""

import time
from collections import deque

import cv2
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.image import AxesImage

from maskrcnn_benchmark.predict.video import Frame
from maskrcnn_benchmark.utils.user_error import UserError

TITLE = "Mask Scoring R-CNN"
QUIT_KEYS = ("q", "escape")


class FrameRate:
    """Frame rate, averaged over the last frames."""

    def __init__(self, span: int = 10) -> None:
        self._times: deque[float] = deque(maxlen=span + 1)

    def tick(self, now: float) -> float:
        """Record a frame at time ``now`` in seconds; return the rate, 0 at the first frame."""
        self._times.append(now)
        passed = now - self._times[0]
        return (len(self._times) - 1) / passed if passed > 0 else 0.0


class Window:
    """A window that the user can close with q, Esc or the mouse.

    Raises:
        UserError: no window can be opened.
    """

    def __init__(self) -> None:
        if plt.get_backend().lower() == "agg":
            raise UserError(
                "no window can be opened here (no display, or Python lacks tkinter): "
                "omit --show and write to a folder with --output"
            )
        figure, self._axes = plt.subplots(num=TITLE, layout="constrained")
        self._axes.axis("off")
        figure.canvas.mpl_connect(
            "key_press_event", lambda event: plt.close(figure) if event.key in QUIT_KEYS else None
        )
        self._shown: AxesImage | None = None
        self._rate = FrameRate()
        self._rate.tick(time.perf_counter())

    def show(self, frame: Frame) -> bool:
        """Show an RGB uint8 frame ``[H, W, 3]``; return whether the window is still open."""
        if not plt.fignum_exists(TITLE):
            return False
        picture = np.array(frame)
        _write(picture, f"{self._rate.tick(time.perf_counter()):.1f} fps")
        if self._shown is None:
            self._shown = self._axes.imshow(picture)
        self._shown.set_data(picture)
        plt.pause(0.001)
        return plt.fignum_exists(TITLE)


def _write(picture: Frame, text: str) -> None:
    """Write white text with a black outline into the top left corner."""
    for color, width in (((0, 0, 0), 4), ((255, 255, 255), 1)):
        cv2.putText(picture, text, (8, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.6, color, width)
