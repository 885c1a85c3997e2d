"""The window for cameras and videos, on a backend without a screen."""

import numpy as np
import pytest
from matplotlib.backend_bases import KeyEvent

from maskrcnn_benchmark.predict import window
from maskrcnn_benchmark.utils.user_error import UserError

FRAMES = np.random.default_rng(0).integers(256, size=(3, 80, 100, 3), dtype=np.uint8)
plt = window.plt


@pytest.fixture
def _screen(monkeypatch):
    plt.switch_backend("agg")
    monkeypatch.setattr(plt, "get_backend", lambda: "tkagg")
    yield
    plt.close("all")


def shown():
    (image,) = plt.figure(window.TITLE).axes[0].images
    return np.asarray(image.get_array())


def test_frames_per_second():
    rate = window.FrameRate(span=4)
    assert rate.tick(10.0) == 0
    assert rate.tick(10.5) == 2
    assert [rate.tick(10.5 + 0.25 * i) for i in range(1, 6)][-1] == 4  # the slow one is forgotten


def test_a_missing_display_is_reported(monkeypatch):
    monkeypatch.setattr(plt, "get_backend", lambda: "agg")
    with pytest.raises(UserError, match="no window can be opened here"):
        window.Window()


@pytest.mark.usefixtures("_screen")
@pytest.mark.filterwarnings("ignore:FigureCanvasAgg is non-interactive")
@pytest.mark.parametrize("key", ["q", "escape"])
def test_frames_are_shown_until_a_key_is_pressed(key):
    opened = window.Window()
    for frame in FRAMES[:2]:
        before = frame.copy()
        assert opened.show(frame)
        np.testing.assert_array_equal(frame, before)
        changed = (shown() != frame).any(axis=2)
        assert changed[:30].any()  # the frames per second
        assert not changed[30:].any()
    canvas = plt.figure(window.TITLE).canvas
    for pressed, is_open in (("x", True), (key, False)):
        canvas.callbacks.process("key_press_event", KeyEvent("key_press_event", canvas, pressed))
        assert opened.show(FRAMES[2]) == is_open
    assert not plt.fignum_exists(window.TITLE)
