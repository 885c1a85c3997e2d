from pathlib import Path

import pytest

from maskrcnn_benchmark.utils.media_files import find_media, output_paths


def make(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def found(tmp_path, *inputs, outside="out"):
    files = find_media([str(tmp_path / name) for name in inputs], outside=tmp_path / outside)
    return [path.resolve().relative_to(tmp_path.resolve()).as_posix() for path in files]


def test_files_folders_and_patterns(tmp_path):
    make(tmp_path, "b.JPG", "a.png", "notes.txt", "deep/er/c.tif", "deep/clip.MP4", "out/a.png")
    make(tmp_path, "x[1].png")
    everything = ["a.png", "b.JPG", "deep/clip.MP4", "deep/er/c.tif", "x[1].png"]
    assert found(tmp_path, ".") == everything
    assert found(tmp_path, "deep") == ["deep/clip.MP4", "deep/er/c.tif"]
    assert found(tmp_path, "*.png") == ["a.png", "x[1].png"]
    assert found(tmp_path, "**/*.tif") == ["deep/er/c.tif"]
    assert found(tmp_path, "x[1].png") == ["x[1].png"]
    assert found(tmp_path, "notes.txt") == ["notes.txt"]  # it was named, so it is tried
    assert found(tmp_path, "b.JPG", "*.*", "deep/../a.png") == ["b.JPG", "a.png", "x[1].png"]


def test_nothing_to_read_is_an_error(tmp_path):
    make(tmp_path, "empty/notes.txt")
    with pytest.raises(FileNotFoundError, match=r"nowhere.jpg does not exist"):
        found(tmp_path, "nowhere.jpg")
    for name in ("empty", "*.png"):
        with pytest.raises(FileNotFoundError, match=r"holds no image or video \(.avi .bmp"):
            found(tmp_path, name)


def outputs(*files):
    root = Path("/photos")
    paths = output_paths([root / file for file in files], Path("/out"))
    return [path.relative_to("/out").as_posix() for path in paths]


def test_outputs_are_named_by_the_stem_and_never_meet():
    assert outputs("a.jpg", "b.png", "c.mp4") == ["a.png", "b.png", "c.mp4"]
    assert outputs("one/a.jpg", "two/a.jpg") == ["one/a.png", "two/a.png"]
    assert outputs("a.jpg", "a.tif", "b.jpg") == ["a.jpg.png", "a.tif.png", "b.png"]
    assert outputs("a.jpg", "A.jpg") == ["a.jpg.png", "A.jpg.png"]
    three = outputs("a.jpg", "a.png", "a.jpg.jpg", "a.jpg.gif")
    assert three == ["a.jpg.png", "a.png.png", "a.jpg.jpg.png", "a.jpg.gif.png"]
    assert outputs("deep/only.jpg") == ["only.png"]


def test_no_input_is_overwritten(tmp_path):
    make(tmp_path, "a.png")
    with pytest.raises(ValueError, match=r"a.png is an input and would be overwritten"):
        output_paths([tmp_path / "a.png"], tmp_path)
