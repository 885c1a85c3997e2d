"""The webcam demo on a video, without a window."""

import os
import re
import signal
import sys
from fractions import Fraction

import numpy as np
import pytest
from matplotlib.backend_bases import KeyEvent

from demo import webcam
from maskrcnn_benchmark.predict.predictor import Predictor, draw
from maskrcnn_benchmark.predict.video import VideoWriter, open_video, until_interrupt
from maskrcnn_benchmark.utils.user_error import UserError
from tests.helpers.tiny_detector import save_checkpoint, tiny_config

FRAMES = np.random.default_rng(0).integers(256, size=(3, 80, 100, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_checkpoint(tmp_path_factory.mktemp("model"), tiny_config(), ["cat", "dog"])


def test_frames_per_second():
    rate = webcam.FrameRate(span=4)
    assert rate.tick(10.0) == 0
    assert rate.tick(10.5) == 2
    assert [rate.tick(10.5 + 0.25 * i) for i in range(1, 6)][-1] == 4  # the slow one is forgotten


def test_a_frame_is_rendered_in_its_size(weights):
    predictor = Predictor.from_checkpoint(weights, device="cpu")
    picture = webcam.render(predictor, FRAMES[0], score_key="mask_iou", threshold=0.3)
    chosen = predictor(FRAMES[0]).select("mask_iou", 0.3)
    expected = draw(FRAMES[0], chosen, color_by="class", long_side=0)
    np.testing.assert_array_equal(picture, np.asarray(expected))
    (shown, seconds), *_ = webcam.rendered(
        predictor, [(FRAMES[0], 1.5)], score_key=None, threshold=99
    )
    assert seconds == 1.5
    changed = (shown != FRAMES[0]).any(axis=2)
    assert changed[:30].any()  # the frames per second
    assert not changed[30:].any()


def test_a_video_without_a_window(weights, tmp_path, monkeypatch):
    pytest.importorskip("av")
    with VideoWriter(tmp_path / "in.mp4", Fraction(12)) as writer:
        for frame in FRAMES:
            writer.write(frame)
    arguments = ["--video", tmp_path / "in.mp4", "--output", tmp_path / "out.mp4"]
    arguments += ["--weights", weights, "--min-image-size", 48]
    monkeypatch.setattr(sys, "argv", ["webcam.py", *map(str, arguments)])
    webcam.main()
    video = open_video(tmp_path / "out.mp4")
    assert (video.fps, video.num_frames) == (12, 3)


def test_mistakes_are_told_in_a_line(weights, tmp_path, monkeypatch, capsys):
    for arguments, message in (
        (["--video", tmp_path / "no.mp4"], r"error: video \S*no.mp4 does not exist"),
        (["--camera", 97, "--output", tmp_path / "a.mp4"], r"error: camera 97 delivers no image"),
    ):
        options = ["webcam.py", "--weights", weights, *arguments]
        monkeypatch.setattr(sys, "argv", [*map(str, options)])
        with pytest.raises(SystemExit, match="2"):
            webcam.main()
        assert re.match(message, capsys.readouterr().err)


def test_control_c_ends_a_recording_after_the_frame():
    before = signal.getsignal(signal.SIGINT)
    recorded = []
    for number, (frame, seconds) in enumerate(until_interrupt(iter(FRAMES))):
        if number == 1:
            os.kill(os.getpid(), signal.SIGINT)
        recorded.append((frame, seconds))
    assert len(recorded) == 2
    assert 0 <= recorded[0][1] <= recorded[1][1]
    assert signal.getsignal(signal.SIGINT) is before


def test_without_a_display_it_says_so(monkeypatch):
    monkeypatch.setattr(webcam.plt, "get_backend", lambda: "agg")
    with pytest.raises(UserError, match="no window can be opened here"):
        webcam.show([(FRAMES[0], None)])


@pytest.mark.filterwarnings("ignore:FigureCanvasAgg is non-interactive")
def test_the_window_shows_each_picture_until_a_key_ends_it(monkeypatch):
    plt = webcam.plt
    plt.switch_backend("agg")
    monkeypatch.setattr(plt, "get_backend", lambda: "tkagg")
    seen = []

    def pictures():
        for number, frame in enumerate(FRAMES):
            if number == 2:
                canvas = plt.figure(webcam.WINDOW).canvas
                canvas.callbacks.process(
                    "key_press_event", KeyEvent("key_press_event", canvas, "escape")
                )
            if number > 0 and plt.fignum_exists(webcam.WINDOW):
                (shown,) = plt.figure(webcam.WINDOW).axes[0].images
                seen.append(shown.get_array())
            yield frame, None

    webcam.show(pictures())
    np.testing.assert_array_equal(seen, FRAMES[:1])
    assert not plt.fignum_exists(webcam.WINDOW)
