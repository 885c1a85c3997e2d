"""``tools/predict.py`` from the command line, with a tiny model."""

import importlib
import importlib.util
import os
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskrcnn_benchmark.engine.launch import prediction
from maskrcnn_benchmark.predict.results_file import load_results_file
from maskrcnn_benchmark.predict.video import VideoWriter, open_video
from tests.helpers.films import variable_rate
from tests.helpers.tiny_detector import save_checkpoint, tiny_config

TOOLS = str(Path(__file__).parents[2] / "tools")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_checkpoint(tmp_path_factory.mktemp("model"), tiny_config(), ["cat", "dog"])


@pytest.fixture
def predict(monkeypatch, capsys, weights):
    """Run the command; return its exit code, stdout and stderr."""
    monkeypatch.syspath_prepend(TOOLS)
    tool = importlib.import_module("predict")

    def run(*arguments, weights=weights):
        options = ["--device", "cpu", "--weights", weights, *arguments]
        monkeypatch.setattr(sys, "argv", ["predict.py", *map(str, options)])
        try:
            tool.main()
            code = 0
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    yield run
    sys.modules.pop("predict", None)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, size in (("a.jpg", (100, 80)), ("more/a.png", (60, 90)), ("more/b.png", (50, 50))):
        pixels = rng.integers(256, size=(size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return folder


def files_in(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_pictures_and_scores_of_a_folder(predict, photos, tmp_path):
    out = tmp_path / "out"
    arguments = ("--input", photos, "--output", out, "--batch-size", 2, "--threshold", 0.2)
    code, said, _ = predict(*arguments, "--score-key", "mask_score")
    assert code == 0
    assert files_in(out) == ["a.png", "more/a.png", "more/b.png", "predictions.json"]
    loaded = load_results_file(out / "predictions.json")
    assert [entry["file_name"] for entry, _ in loaded] == ["a.jpg", "more/a.png", "more/b.png"]
    assert [p.size for _, p in loaded] == [(100, 80), (60, 90), (50, 50)]
    scores = np.concatenate([p.mask_scores for _, p in loaded])
    assert len(scores) > 0
    assert scores.min() >= 0.2
    assert f"{len(scores)} detections in 3 images" in said
    assert max(Image.open(out / "a.png").size) == 1200


@pytest.mark.parametrize(("kind", "expected"), [("png", ["a.png"]), ("json", ["predictions.json"])])
def test_one_format_alone(kind, expected, predict, photos, tmp_path):
    out = tmp_path / "out"
    code, *_ = predict("--input", photos / "a.jpg", "--output", out, "--format", kind)
    assert code == 0
    assert files_in(out) == expected


def test_a_broken_file_among_many(predict, photos, tmp_path):
    (photos / "bad.jpg").write_text("no image")
    (photos / "empty.png").touch()
    out = tmp_path / "out"
    code, _, errors = predict("--input", photos, "--output", out, "--threshold", -9)
    assert code == "2 inputs could not be read"  # sys.exit with words: exit code 1
    assert errors.count("skipped: image ") == 2
    assert "bad.jpg cannot be read" in errors
    assert "empty.png cannot be read: the file is empty" in errors
    assert files_in(out) == ["a.png", "more/a.png", "more/b.png", "predictions.json"]
    assert [len(p) for _, p in load_results_file(out / "predictions.json")] == [6, 6, 6]


def test_results_before_an_interruption_are_kept(predict, photos, tmp_path, monkeypatch):
    read = prediction.read_image

    def interrupted(path):
        if path.name == "b.png":
            raise KeyboardInterrupt
        return read(path)

    monkeypatch.setattr(prediction, "read_image", interrupted)
    out = tmp_path / "out"
    code, _, errors = predict("--input", photos, "--output", out)
    assert (code, errors) == (130, "interrupted\n")
    assert files_in(out) == ["a.png", "more/a.png", "predictions.json"]
    assert len(load_results_file(out / "predictions.json")) == 2


def test_video_in_and_out(predict, photos, tmp_path):
    pytest.importorskip("av")
    frame = np.asarray(Image.open(photos / "a.jpg"))
    with VideoWriter(photos / "clip.mp4", Fraction(12)) as writer:
        for shift in range(5):
            writer.write(np.roll(frame, 5 * shift, axis=1))
    (photos / "bad.mov").write_text("no video")
    out = tmp_path / "out"
    inputs = (photos / "clip.mp4", photos / "bad.mov")
    options = ("--output", out, "--batch-size", 2, "--threshold", -9)
    code, _, errors = predict("--input", *inputs, *options)
    assert code == "1 inputs could not be read"
    assert "skipped: video " in errors
    assert files_in(out) == ["clip.mp4", "clip.mp4.json"]
    video = open_video(out / "clip.mp4")
    assert (video.fps, video.num_frames) == (12, 5)
    first, _ = next(iter(video))
    assert first.shape == (80, 100, 3)
    assert np.abs(first.astype(int) - frame).mean() > 5  # something is drawn
    loaded = load_results_file(out / "clip.mp4.json")
    assert [(e["frame"], len(p)) for e, p in loaded] == [(number, 6) for number in range(5)]


def test_a_video_of_variable_frame_rate_keeps_its_times(predict, tmp_path):
    pytest.importorskip("av")
    times = (0.0, 0.1, 0.9, 1.0, 3.0)
    variable_rate(tmp_path / "vfr.mkv", times)
    out = tmp_path / "out"
    options = ("--output", out, "--batch-size", 2)
    assert predict("--input", tmp_path / "vfr.mkv", *options)[0] == 0
    written = [seconds for _, seconds in open_video(out / "vfr.mp4")]
    np.testing.assert_allclose(written, times, atol=1e-3)


def test_a_second_run_into_the_input_folder_does_the_same(predict, photos):
    arguments = ("--input", photos, "--output", photos / "found", "--threshold", 0.2)
    (photos / "notes.txt").touch()
    runs = [predict(*arguments) for _ in range(2)]
    assert runs[0] == runs[1]
    assert runs[0][0] == 0
    assert runs[0][2] == "skipped, neither image nor video by their suffix: 1 .txt\n"
    assert files_in(photos / "found") == ["a.png", "more/a.png", "more/b.png", "predictions.json"]
    code, _, errors = predict("--input", photos, "--output", photos)
    assert code == 2
    assert "would be among the inputs of the next run" in errors


def test_names_as_long_as_the_disk_allows(predict, photos, tmp_path):
    pytest.importorskip("av")
    names = ["a" * 251 + ".jpg", "a" * 251 + ".tif", "b" * 251 + ".mp4"]
    for name in names[:2]:
        Image.open(photos / "a.jpg").save(photos / name)
    with VideoWriter(photos / names[2], Fraction(12)) as writer:
        writer.write(np.zeros((64, 64, 3), np.uint8))
    out = tmp_path / "out"
    assert predict("--input", *(photos / name for name in names), "--output", out)[0] == 0
    written = files_in(out)
    assert len(written) == 5
    assert max(map(len, written)) == 255
    assert sum(name.endswith(".png") for name in written) == 2


def test_a_defect_shows_its_traceback(predict, photos, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise ValueError("shapes")

    monkeypatch.setattr(prediction, "draw", broken)
    with pytest.raises(ValueError, match="shapes"):
        predict("--input", photos, "--output", tmp_path / "out")


def test_names_beyond_ascii_in_a_locale_of_ascii(tmp_path):
    names = ["Straße", "猫"]
    checkpoint = save_checkpoint(tmp_path, tiny_config(), names)
    folder, out = tmp_path / "Фото", tmp_path / "Ausgänge"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(256, size=(80, 100, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "Köln.jpg")
    has_av = importlib.util.find_spec("av") is not None
    if has_av:
        with VideoWriter(folder / "ß.mp4", Fraction(12)) as writer:
            writer.write(pixels)
    command = [sys.executable, "-X", "utf8=0", f"{TOOLS}/predict.py", "--weights", checkpoint]
    command += ["--threshold", "-9", "--device", "cpu", "--input", folder, "--output", out]
    environment = os.environ | {"LC_ALL": "POSIX", "PYTHONPATH": str(Path(TOOLS).parent)}
    result = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert result.returncode == 0, result.stderr.decode()
    ((entry, prediction),) = load_results_file(out / "predictions.json")
    assert entry["file_name"] == "Köln.jpg"
    assert len(prediction) > 0
    assert set(prediction.names) <= set(names)
    assert (out / "Köln.png").is_file()
    if has_av:
        ((entry, _),) = load_results_file(out / "ß.mp4.json")
        assert entry["file_name"] == "ß.mp4"


def test_mistakes_are_reported_in_one_line(predict, photos, tmp_path):
    out = tmp_path / "out"
    no_scores = save_checkpoint(tmp_path / "mask", tiny_config(MASKIOU_ON=False))
    for arguments, message in (
        (("--input", tmp_path / "nowhere.jpg"), "error: .*nowhere.jpg does not exist"),
        (("--input", tmp_path / "*.gif"), "error: .* contains no image or video"),
        (("--input", "webcam:97"), "error: camera 97 delivers no image"),
        (("--input", photos, "--device", "gpu"), "--device: 'gpu' is none of cuda, cuda:N and cpu"),
    ):
        code, _, errors = predict(*arguments, "--output", out)
        assert code == 2
        assert re.search(message, errors)
    key = ("--score-key", "mask_score")
    arguments = ("--input", photos / "a.jpg", "--output", out, *key)
    code, _, errors = predict(*arguments, weights=no_scores)
    assert code == 2
    assert "this model has no MaskIoU head" in errors
    inputs = (photos / "more" / "a.png", photos / "more" / "b.png")
    code, _, errors = predict("--input", *inputs, "--output", photos / "more")
    assert code == 2
    assert "is an input and would be overwritten" in errors
