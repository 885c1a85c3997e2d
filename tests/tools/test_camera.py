"""``--input webcam:N`` with a mock camera: colors, ``--threshold`` and ``--show``."""

import os
import signal
from fractions import Fraction

import cv2
import numpy as np
import pytest
from PIL import Image

from maskrcnn_benchmark.predict.predictor import Predictor, draw
from maskrcnn_benchmark.predict.video import VideoWriter, camera_frames, open_video, until_interrupt
from tests.helpers.tiny_detector import save_checkpoint, tiny_config
from tests.tools.toy import tool

HEIGHT, WIDTH = 80, 100
# (blue, green, red), as OpenCV delivers it; smooth, so that a video codec keeps it
SEEN = np.empty((HEIGHT, WIDTH, 3), np.uint8)
SEEN[...] = (20, 80, 200)
SEEN[30:60, 20:50] = (180, 40, 60)


class Camera:
    """Mock camera that delivers two frames; the user presses Ctrl-C during the third."""

    released = 0

    def __init__(self, number):
        assert number == 3
        self.taken = 0

    def set(self, *_):
        return True

    def read(self):
        self.taken += 1
        if self.taken == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return True, SEEN.copy()

    def release(self):
        type(self).released += 1


@pytest.fixture(autouse=True)
def camera(monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    monkeypatch.setattr(Camera, "released", 0)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_checkpoint(tmp_path_factory.mktemp("model"), tiny_config(), ["cat", "dog"])


def test_frames_are_rgb():
    frames = camera_frames(3)
    frame = next(frames)
    assert frame[0, 0].tolist() == [200, 80, 20]
    assert frame[40, 40].tolist() == [60, 40, 180]
    frames.close()
    assert Camera.released == 1


def test_control_c_ends_a_recording_after_the_frame():
    before = signal.getsignal(signal.SIGINT)
    recorded = []
    for number, (frame, seconds) in enumerate(until_interrupt(iter([SEEN] * 3))):
        if number == 1:
            os.kill(os.getpid(), signal.SIGINT)
        recorded.append((frame, seconds))
    assert len(recorded) == 2
    assert 0 <= recorded[0][1] <= recorded[1][1]
    assert signal.getsignal(signal.SIGINT) is before


def record(weights, threshold, *arguments):
    """Run the program on the camera until Ctrl-C, or until the window is closed."""
    options = ["--weights", weights, "--threshold", threshold, "--score-key", "mask_iou"]
    tool("predict").main([*map(str, ["--input", "webcam:3", *options, *arguments])])


@pytest.fixture(scope="module")
def pictures(weights):
    """Return the expected frames by threshold: with all detections, or with none."""
    image = Image.fromarray(SEEN[..., ::-1])
    found = Predictor.from_checkpoint(weights, device="cpu")(image)
    assert len(found) > 1
    return {
        threshold: np.asarray(
            draw(image, found.select("mask_iou", threshold), color_by="class", long_side=0), float
        )
        for threshold in (-9.0, 9.0)
    }


def test_detections_above_the_threshold_are_drawn(weights, pictures, tmp_path):
    pytest.importorskip("av")
    for threshold in pictures:
        record(weights, threshold, "--output", tmp_path)
        frames = [frame.astype(float) for frame, _ in open_video(tmp_path / "webcam_3.mp4")]
        assert len(frames) == 2
        for frame in frames:
            distances = {t: np.abs(frame - p).mean() for t, p in pictures.items()}
            assert min(distances, key=distances.__getitem__) == threshold, distances
            assert distances[threshold] < 12
    assert Camera.released == 2


class Screen:
    """Mock window that the user closes at frame ``last``."""

    last = 9
    pictures: list

    def __init__(self):
        type(self).pictures = []

    def show(self, picture):
        self.pictures.append(picture)
        return len(self.pictures) < self.last


@pytest.mark.parametrize(("last", "shown"), [(1, 1), (9, 2)])
def test_show_shows_them_until_the_window_or_the_camera_ends(
    last, shown, weights, pictures, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(tool("predict"), "Window", Screen)
    monkeypatch.setattr(Screen, "last", last)
    monkeypatch.chdir(tmp_path)
    for threshold, expected in pictures.items():
        record(weights, threshold, "--show")
        assert len(Screen.pictures) == shown
        np.testing.assert_array_equal(Screen.pictures, [expected] * shown)
    assert Camera.released == 2
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out.endswith(f" in {shown} images\n")


def test_a_video_is_shown_and_written(weights, tmp_path, monkeypatch):
    pytest.importorskip("av")
    monkeypatch.setattr(tool("predict"), "Window", Screen)
    monkeypatch.setattr(Screen, "last", 9)
    video = tmp_path / "in.mp4"
    with VideoWriter(video, Fraction(12)) as writer:
        for _ in range(3):
            writer.write(SEEN)
    folder = tmp_path / "out"
    options = ["--weights", weights, "--input", video, "--show", "--output", folder]
    tool("predict").main([*map(str, options)])
    assert len(Screen.pictures) == 3
    written = open_video(folder / "in.mp4")
    assert (written.fps, written.num_frames) == (12, 3)
    assert (folder / "in.mp4.json").is_file()


def test_images_are_not_shown(weights, tmp_path, capsys):
    Image.fromarray(SEEN).save(tmp_path / "a.png")
    options = ["--weights", weights, "--input", tmp_path / "a.png"]
    for more, message in (
        (["--show"], "error: --show shows cameras and videos; for images, specify --output FOLDER"),
        ([], "--output FOLDER, --show, or both"),
    ):
        with pytest.raises(SystemExit, match="2"):
            tool("predict").main([*map(str, [*options, *more])])
        assert message in capsys.readouterr().err
