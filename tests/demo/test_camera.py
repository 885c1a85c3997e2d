"""Both programs that read a camera, with a stand-in for it: colors and ``--threshold``."""

import os
import signal
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from demo import webcam
from maskrcnn_benchmark.predict.predictor import Predictor, draw
from maskrcnn_benchmark.predict.video import camera_frames, open_video
from tests.helpers.tiny_detector import save_checkpoint, tiny_config
from tests.tools.toy import tool

HEIGHT, WIDTH = 80, 100
# (blue, green, red), as OpenCV delivers it; smooth, so that a video codec keeps it
SEEN = np.empty((HEIGHT, WIDTH, 3), np.uint8)
SEEN[...] = (20, 80, 200)
SEEN[30:60, 20:50] = (180, 40, 60)
CAPTION = np.s_[30:]  # below the frames per second


class Camera:
    """Gives two pictures; while it takes the third, the user presses Ctrl-C."""

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


def record(program, weights, threshold, folder, monkeypatch):
    """Run a program on the camera until Ctrl-C; return the frames of its video."""
    arguments = ["--weights", weights, "--threshold", threshold, "--score-key", "mask_iou"]
    if program == "webcam.py":
        video, main = folder / "out.mp4", webcam.main
        arguments += ["--camera", 3, "--output", video]
    else:
        video, main = folder / "webcam_3.mp4", tool("predict").main
        arguments += ["--input", "webcam:3", "--output", folder]
    monkeypatch.setattr(sys, "argv", [program, *map(str, arguments)])
    main()
    return [frame.astype(float) for frame, _ in open_video(video)]


@pytest.mark.parametrize("program", ["webcam.py", "predict.py"])
def test_what_reaches_the_threshold_is_drawn(program, weights, tmp_path, monkeypatch):
    pytest.importorskip("av")
    image = Image.fromarray(SEEN[..., ::-1])
    found = Predictor.from_checkpoint(weights, device="cpu")(image)
    assert len(found) > 1
    pictures = {  # all, and none; no other threshold gives both
        threshold: np.asarray(
            draw(image, found.select("mask_iou", threshold), color_by="class", long_side=0), float
        )
        for threshold in (-9.0, 9.0)
    }
    for threshold in pictures:
        frames = record(program, weights, threshold, tmp_path, monkeypatch)
        assert len(frames) == 2
        for frame in frames:
            distances = {t: np.abs(frame - p)[CAPTION].mean() for t, p in pictures.items()}
            assert min(distances, key=distances.__getitem__) == threshold, distances
            assert distances[threshold] < 12
    assert Camera.released == 2
