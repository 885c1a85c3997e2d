import os
from pathlib import Path

import pytest
from PIL import Image

from maskrcnn_benchmark.predict.media import find_media, image_endings, output_paths


def make(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def search(tmp_path, *inputs, outside="out"):
    return find_media([str(tmp_path / name) for name in inputs], outside=tmp_path / outside)


def found(tmp_path, *inputs, outside="out"):
    files = search(tmp_path, *inputs, outside=outside).files
    return [Path(os.path.abspath(path)).relative_to(tmp_path).as_posix() for path in files]  # noqa: PTH100 links stay


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
    assert found(tmp_path, "*") == found(tmp_path, "**") == everything  # as the shell would


@pytest.mark.parametrize(
    "ending",
    [
        *(".jfif", ".jpe", ".webp", ".jp2", ".j2k", ".tga", ".pbm", ".apng", ".ico", ".dds"),
        *(".ts", ".flv", ".wmv", ".3gp", ".mts", ".m2ts", ".ogv", ".MOV", ".mpg", ".webm"),
    ],
)
def test_formats_of_pillow_and_ffmpeg_are_found(ending, tmp_path):
    make(tmp_path, f"a{ending}")
    assert found(tmp_path, ".") == [f"a{ending}"]


def test_the_endings_are_those_of_pillow():
    Image.init()
    for ending, kind in Image.EXTENSION.items():
        if kind in ("BUFR", "GRIB", "HDF5", "MPEG", "WMF") or kind not in Image.OPEN:
            assert ending not in image_endings()
        else:
            assert ending in image_endings()


def test_skipped_files_are_reported(tmp_path):
    make(tmp_path, "a.png", "b.heic", "c/d.HEIC", "e.txt", "Makefile", "out/old.txt")
    notice = search(tmp_path, ".").notice()
    expected = "skipped, neither image nor video by their suffix: "
    assert notice == expected + "2 .heic, 1 without suffix, 1 .txt"
    assert search(tmp_path, "*").notice() == notice
    assert search(tmp_path, "a.png").notice() == ""


def test_nothing_to_read_is_an_error(tmp_path):
    make(tmp_path, "some/notes.txt", "some/a.heic", "some/b.heic", "written/out/a.png")
    (tmp_path / "empty").mkdir()
    for name, words in (
        ("nowhere.jpg", "nowhere.jpg does not exist"),
        ("some", "some contains no image or video; it contains: 2 .heic, 1 .txt"),
        ("some/*.txt", r"\*.txt contains no image or video; it contains: 1 .txt"),
        ("empty", "empty contains no image or video; no files found"),
        ("*.png", r"\*.png contains no image or video; no files found"),
    ):
        with pytest.raises(FileNotFoundError, match=words):
            found(tmp_path, name)
    with pytest.raises(FileNotFoundError, match=r"all its files are in the output folder \S"):
        found(tmp_path, "written", outside="written/out")


def test_an_existing_name_is_not_a_pattern(tmp_path):
    make(
        tmp_path, "photos [2020]/a.jpg", "photos [2020]/b [1].png", "photos 2/c.jpg", "x[1].d/d.png"
    )
    both = ["photos [2020]/a.jpg", "photos [2020]/b [1].png"]
    assert found(tmp_path, "photos [2020]") == found(tmp_path, "photos [2020]/*") == both
    assert found(tmp_path, "photos [2020]/**/*.jpg") == both[:1]
    assert found(tmp_path, "photos [2020]/b [1].png") == both[1:]
    assert found(tmp_path, "photos [0-9]/*.jpg") == ["photos 2/c.jpg"]
    assert found(tmp_path, "x[1].d/*") == ["x[1].d/d.png"]


def test_links_are_followed_and_circular_links_terminate(tmp_path):
    make(tmp_path, "photos/a.png", "elsewhere/b.png", "elsewhere/deep/c.png")
    (tmp_path / "photos" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "photos")
    (tmp_path / "elsewhere" / "itself").symlink_to(tmp_path / "elsewhere" / "itself")
    (tmp_path / "photos" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "photos" / "round.png").symlink_to(tmp_path / "photos" / "round.png")
    assert found(tmp_path, "photos") == [
        *("photos/a.png", "photos/gone.png"),  # what is gone is told when it is read
        *("photos/linked/b.png", "photos/linked/deep/c.png", "photos/round.png"),
    ]
    (tmp_path / "alias").symlink_to(tmp_path / "photos")
    assert len(found(tmp_path, "alias")) == 5


def outputs(*files):
    root = Path("/photos")
    paths = output_paths([root / file for file in files], Path("/out"))
    return [path.relative_to("/out").as_posix() for path in paths]


def test_outputs_are_named_by_the_stem_and_never_collide():
    assert outputs("a.jpg", "b.png", "c.mp4") == ["a.png", "b.png", "c.mp4"]
    assert outputs("one/a.jpg", "two/a.jpg") == ["one/a.png", "two/a.png"]
    assert outputs("a.jpg", "a.tif", "b.jpg") == ["a.jpg.png", "a.tif.png", "b.png"]
    assert outputs("a.jpg", "A.jpg") == ["a.jpg.png", "A.jpg.png"]
    three = outputs("a.jpg", "a.png", "a.jpg.jpg", "a.jpg.gif")
    assert three == ["a.jpg.png", "a.png.png", "a.jpg.jpg.png", "a.jpg.gif.png"]
    assert outputs("deep/only.jpg") == ["only.png"]


def test_long_names_are_truncated_and_do_not_collide():
    names = ["ü" * 125 + f"{number}.jpg" for number in (1, 2)]
    assert outputs(*names) == [f"{'ü' * 125}{number}.png" for number in (1, 2)]  # 255 bytes
    stems = ["ü" * 126 + f"{number}.a" for number in (1, 2)]
    cut = outputs(*stems)
    assert len(set(cut)) == 2
    for name in cut:
        assert name.startswith("ü" * 120)
        assert name.endswith(".png")
        assert 250 < len(name.encode()) <= 255
    assert cut == outputs(*stems)


def test_no_input_is_overwritten(tmp_path):
    make(tmp_path, "a.png")
    with pytest.raises(ValueError, match=r"a.png is an input and would be overwritten"):
        output_paths([tmp_path / "a.png"], tmp_path)


@pytest.mark.parametrize(
    ("inputs", "output", "fine"),
    [
        (["photos"], "found", True),
        (["photos"], "photos/found", True),
        (["photos"], "photos", False),
        (["photos", "more"], ".", False),  # would write photos/a.png
        (["photos/*.jpg"], "photos", False),
        (["photos/*.jpg"], "photos/found", True),
        (["photos/a.jpg"], "photos", True),  # a file that is named is the same in the next run
        (["photos"], ".", True),  # writes a.png
        (["photos/linked"], "more", False),
    ],
)
def test_no_output_is_an_input_of_the_next_run(inputs, output, fine, tmp_path):
    make(tmp_path, "photos/a.jpg", "photos/b.jpg", "more/c.jpg")
    (tmp_path / "photos" / "linked").symlink_to(tmp_path / "more")

    def run():
        media = search(tmp_path, *inputs, outside=output)
        return output_paths(media.files, tmp_path / output, searched=media.searched)

    if not fine:
        with pytest.raises(ValueError, match="would be among the inputs of the next run"):
            run()
        return
    first = run()
    make(tmp_path, *(path.relative_to(tmp_path) for path in first))
    assert run() == first
