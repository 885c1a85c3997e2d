"""Writing, reading, and error handling of videos."""

import builtins
import struct
from fractions import Fraction

import numpy as np
import pytest

from maskrcnn_benchmark.predict.video import VideoError, VideoWriter, camera_frames, open_video
from maskrcnn_benchmark.utils.user_error import UserError
from tests.helpers.films import variable_rate

av = pytest.importorskip("av")


def frames(count, height=60, width=80):
    """Return frames of increasing brightness with a white patch at the top left."""
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
    pictures, times = zip(*video, strict=True)
    np.testing.assert_allclose(times, np.arange(9) / float(fps), atol=1e-4)
    again = np.stack(pictures)
    assert again.shape == (9, 60, 80, 3)
    np.testing.assert_allclose(again[:, 40:, 50:].mean(axis=(1, 2, 3)), np.arange(9) * 10, atol=3)
    np.testing.assert_allclose(again[:, :16, :26], 255, atol=6)
    assert [p.name for p in path.parent.iterdir()] == ["clip.mp4"]


def test_odd_sides_are_extended(tmp_path):
    path = write(tmp_path / "clip.mp4", Fraction(10), frames(2, 61, 81))
    assert next(iter(open_video(path)))[0].shape == (62, 82, 3)


def test_frames_keep_their_times(tmp_path):
    written = (0.0, 0.501, 0.502, 2.0)
    with VideoWriter(tmp_path / "clip.mp4", Fraction(10)) as writer:
        for picture, seconds in zip(frames(4), written, strict=True):
            writer.write(picture, seconds)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        times = [frame.time for frame in container.decode(video=0)]
        assert container.duration / av.time_base == pytest.approx(2.1, abs=1e-3)
    np.testing.assert_allclose(times, written, atol=1e-4)
    np.testing.assert_allclose([t for _, t in open_video(tmp_path / "clip.mp4")], times)


def test_frames_without_a_time_follow_at_the_average_rate(tmp_path):
    with VideoWriter(tmp_path / "clip.mp4", Fraction(10)) as writer:
        for picture, seconds in zip(frames(5), (0.0, None, 1.0, None, 0.5), strict=True):
            writer.write(picture, seconds)
    times = [seconds for _, seconds in open_video(tmp_path / "clip.mp4")]
    # the last one would be before another: it follows at once
    np.testing.assert_allclose(times, [0, 0.1, 1.0, 1.1, 1.1], atol=1e-3)


@pytest.mark.parametrize("fps", [Fraction(12), Fraction(30000, 1001)])
def test_without_x264_the_standard_of_mpeg4_is_kept(fps, tmp_path, monkeypatch):
    monkeypatch.setattr(av, "codecs_available", av.codecs_available - {"libx264"})
    path = write(tmp_path / "clip.mp4", fps, frames(5))
    assert open_video(path).fps == fps
    times = [seconds for _, seconds in open_video(path)]
    np.testing.assert_allclose(times, np.arange(5) / float(fps), atol=1e-4)


def test_a_video_that_begins_late_begins_at_zero(tmp_path):
    path = tmp_path / "late.mkv"
    times = (5.0, 5.1, 5.9, 8.0)
    variable_rate(path, times)
    np.testing.assert_allclose([s for _, s in open_video(path)], [0, 0.1, 0.9, 3.0], atol=1e-3)


def test_a_rotated_phone_video_is_turned_upright(tmp_path):
    path = write(tmp_path / "clip.mp4", Fraction(10), frames(2))
    content = bytearray(path.read_bytes())
    # the matrix of the track header: the picture is shown turned by 90 degrees clockwise
    matrix = content.find(b"tkhd") + 44
    assert struct.unpack_from(">9i", content, matrix)[0] == 1 << 16
    turned = (0, 1 << 16, 0, -(1 << 16), 0, 0, 60 << 16, 0, 1 << 30)
    struct.pack_into(">9i", content, matrix, *turned)
    path.write_bytes(content)
    frame, _ = next(iter(open_video(path)))
    assert frame.shape == (80, 60, 3)
    np.testing.assert_allclose(frame[:26, 44:], 255, atol=6)  # now at the upper right
    assert frame[:26, :36].max() < 30


def test_a_failed_video_leaves_no_file(tmp_path):
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


def test_missing_pyav_is_reported(tmp_path, monkeypatch):
    real_import = builtins.__import__

    def without_av(name, *args, **kwargs):
        if name == "av":
            raise ImportError("No module named 'av'")
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_av)
    with pytest.raises(ImportError, match="videos need PyAV: pip install av"):
        open_video(tmp_path / "clip.mp4")


def test_a_missing_camera():
    with pytest.raises(UserError, match="camera 97 delivers no image"):
        next(camera_frames(97))
