"""Images of every kind, as cameras and editors write them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from PIL import Image

from maskrcnn_benchmark.data.datasets.images import as_rgb, read_image

GREY = np.arange(200, dtype=np.uint8).reshape(10, 20)
GREY3 = np.stack([GREY] * 3, axis=2)
RGB = np.stack([GREY, 255 - GREY, GREY // 2], axis=2)
ORIENTATION = 0x0112
# how the stored pixels must be moved to be seen upright (EXIF 2.32, table 6)
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda a: np.rot90(a, 1),
}


def _palette(transparent):
    """The colours of RGB's first 200 pixels by index; ``transparent``: alpha of each entry."""
    image = Image.fromarray(GREY).convert("P")
    image.putpalette(RGB.reshape(-1, 3).tobytes() + bytes(56 * 3))
    if transparent is not None:
        image.info["transparency"] = transparent
    return image


MODES = {
    "L": (Image.fromarray(GREY), GREY3),
    "RGBA": (Image.fromarray(np.dstack([RGB, GREY])), RGB),
    "LA": (Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(255 - GREY)]), GREY3),
    "P": (_palette(None), RGB),
    "P one colour transparent": (_palette(3), RGB),
    "P alpha": (_palette(bytes(range(200))), RGB),
    "1": (Image.fromarray(GREY > 99), np.stack([(GREY > 99) * np.uint8(255)] * 3, axis=2)),
    "I;16": (Image.fromarray(GREY.astype(np.uint16) * 257), GREY3),
}


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_becomes_rgb(mode, tmp_path):
    image, expected = MODES[mode]
    image.save(tmp_path / "image.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = read_image(tmp_path / "image.png")
    assert read.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(read), expected)


@pytest.mark.parametrize("ending", ["jpg", "tif"])
def test_printers_colours(ending, tmp_path):
    smooth = np.full((16, 16, 3), (200, 40, 90), np.uint8)
    Image.fromarray(smooth).convert("CMYK").save(tmp_path / f"image.{ending}")
    read = read_image(tmp_path / f"image.{ending}")
    np.testing.assert_allclose(np.asarray(read).astype(int), smooth, atol=3)


def test_sixteen_bits_in_a_tiff(tmp_path):
    Image.fromarray(GREY.astype(np.uint16) * 257).save(tmp_path / "image.tif")
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / "image.tif")), GREY3)


def _turned(path, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(RGB).save(path, exif=exif)
    return path


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_exif_orientation_is_honoured(orientation, ending, tmp_path):
    path = _turned(tmp_path / f"image.{ending}", orientation)
    expected = UPRIGHT[orientation](RGB)
    np.testing.assert_array_equal(np.asarray(read_image(path)), expected)
    np.testing.assert_array_equal(np.asarray(as_rgb(str(path))), expected)


def test_annotations_tell_whether_they_mean_the_stored_pixels(tmp_path):
    path = _turned(tmp_path / "image.png", 6)
    np.testing.assert_array_equal(np.asarray(read_image(path, (20, 10))), RGB)
    np.testing.assert_array_equal(np.asarray(read_image(path, (10, 20))), UPRIGHT[6](RGB))
    assert read_image(path, (7, 7)).size == (20, 10)  # neither: the caller says so
    upside_down = _turned(tmp_path / "image3.png", 3)
    np.testing.assert_array_equal(np.asarray(read_image(upside_down, (20, 10))), RGB)


@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "webp", "gif", "bmp"])
def test_broken_files_give_one_clear_error(ending, tmp_path):
    noise = np.random.default_rng(0).integers(256, size=(64, 64, 3), dtype=np.uint8)
    path = tmp_path / f"image.{ending}"
    Image.fromarray(noise).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=rf"image \S*image.{ending} cannot be read: \w"):
        read_image(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"cannot be read: the file is empty"):
        read_image(path)
    path.write_text("no image at all")
    with pytest.raises(ValueError, match=r"cannot be read: cannot identify image file"):
        read_image(path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"does not exist"):
        read_image(path)


def test_arrays(tmp_path):
    for array, expected in (
        (RGB, RGB),
        (RGB[:, ::-1], RGB[:, ::-1]),
        (np.dstack([RGB, GREY]), RGB),
        (GREY, GREY3),
        (GREY[..., None], GREY3),
        (GREY.astype(np.uint16) * 257, GREY3),
    ):
        np.testing.assert_array_equal(np.asarray(as_rgb(array)), expected)
    for wrong in (RGB / 255, RGB.transpose(2, 0, 1), RGB[:0], RGB[..., :2], GREY[0]):
        with pytest.raises(ValueError, match=r"an image array must be uint8 \[H, W, 3\] in RGB"):
            as_rgb(wrong)
    with pytest.raises(TypeError, match="got bytes"):
        as_rgb(b"pixels")
