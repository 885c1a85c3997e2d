"""Videos are written, read back, and found wanting."""

from __future__ import annotations

import builtins
import struct
from fractions import Fraction

import numpy as np
import pytest

from maskrcnn_benchmark.utils.video import VideoError, VideoWriter, camera_frames, open_video

av = pytest.importorskip("av")


def frames(count, height=60, width=80):
    """Frames that get brighter, with a white patch at the upper left."""
    made = np.zeros((count, height, width, 3), np.uint8)
    made[...] = (np.arange(count, dtype=np.uint8) * 10)[:, None, None, None]
    made[:, :20, :30] = 255
    return made


def write(path, fps, pictures):
    with VideoWriter(path, fps) as writer:
        for picture in pictures:
            writer.write(picture)
    return path


@pytest.mark.parametrize("fps", [Fraction(12), Fraction(30000, 1001)])
def test_frames_and_their_rate_come_back(fps, tmp_path):
    path = write(tmp_path / "deep" / "clip.mp4", fps, frames(9))
    video = open_video(path)
    assert (video.fps, video.num_frames) == (fps, 9)
    again = np.stack(list(video))
    assert again.shape == (9, 60, 80, 3)
    np.testing.assert_allclose(again[:, 40:, 50:].mean(axis=(1, 2, 3)), np.arange(9) * 10, atol=3)
    np.testing.assert_allclose(again[:, :16, :26], 255, atol=6)
    assert [p.name for p in path.parent.iterdir()] == ["clip.mp4"]


def test_odd_sides_are_extended(tmp_path):
    path = write(tmp_path / "clip.mp4", Fraction(10), frames(2, 61, 81))
    assert next(iter(open_video(path))).shape == (62, 82, 3)


def test_frames_keep_their_times(tmp_path):
    with VideoWriter(tmp_path / "clip.mp4", Fraction(10)) as writer:
        for picture, seconds in zip(frames(3), (0.0, 0.5, 2.0), strict=True):
            writer.write(picture, seconds)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        times = [frame.time for frame in container.decode(video=0)]
    np.testing.assert_allclose(times, [0, 0.5, 2.0], atol=0.01)


def test_what_a_telephone_held_upright_records_is_turned(tmp_path):
    path = write(tmp_path / "clip.mp4", Fraction(10), frames(2))
    content = bytearray(path.read_bytes())
    # the matrix of the track header: the picture is shown turned by 90 degrees clockwise
    matrix = content.find(b"tkhd") + 44
    assert struct.unpack_from(">9i", content, matrix)[0] == 1 << 16
    turned = (0, 1 << 16, 0, -(1 << 16), 0, 0, 60 << 16, 0, 1 << 30)
    struct.pack_into(">9i", content, matrix, *turned)
    path.write_bytes(content)
    frame = next(iter(open_video(path)))
    assert frame.shape == (80, 60, 3)
    np.testing.assert_allclose(frame[:26, 44:], 255, atol=6)  # now at the upper right
    assert frame[:26, :36].max() < 30


def test_nothing_is_left_of_a_video_that_failed(tmp_path):
    path = write(tmp_path / "clip.mp4", Fraction(10), frames(2))
    before = path.read_bytes()
    with pytest.raises(RuntimeError, match="stop"), VideoWriter(path, Fraction(10)) as writer:
        writer.write(frames(1)[0])
        raise RuntimeError("stop")
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["clip.mp4"]
    with VideoWriter(tmp_path / "none.mp4", Fraction(10)):
        pass  # a video without frames is no file
    assert [p.name for p in tmp_path.iterdir()] == ["clip.mp4"]


def test_broken_videos(tmp_path):
    path = write(tmp_path / "clip.mp4", Fraction(10), frames(30))
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(VideoError, match=r"video \S*clip.mp4 cannot be read: Invalid data"):
        open_video(path)
    path.write_text("no video")
    with pytest.raises(VideoError, match=r"clip.mp4 cannot be read"):
        open_video(path)
    with pytest.raises(FileNotFoundError, match=r"nowhere.mp4 does not exist"):
        open_video(tmp_path / "nowhere.mp4")


def test_pyav_is_asked_for_in_words(tmp_path, monkeypatch):
    real_import = builtins.__import__

    def without_av(name, *args, **kwargs):
        if name == "av":
            raise ImportError("No module named 'av'")
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_av)
    with pytest.raises(ImportError, match="videos need PyAV: pip install av"):
        open_video(tmp_path / "clip.mp4")


def test_a_camera_that_is_not_there():
    with pytest.raises(OSError, match="camera 97 gives no picture"):
        next(camera_frames(97))
