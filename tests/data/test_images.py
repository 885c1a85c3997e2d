"""Images of every kind, as written by cameras and editors."""

import warnings

import numpy as np
import pytest
from PIL import Image

from maskrcnn_benchmark.data.datasets.images import as_rgb, read_image, to_rgb
from maskrcnn_benchmark.utils import logger
from maskrcnn_benchmark.utils.user_error import UserError

GRAY = np.arange(200, dtype=np.uint8).reshape(10, 20)
GRAY3 = np.stack([GRAY] * 3, axis=2)
RGB = np.stack([GRAY, 255 - GRAY, GRAY // 2], axis=2)
ORIENTATION = 0x0112
# operation that turns the stored pixels upright (EXIF 2.32, table 6)
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


@pytest.fixture
def forgetful(monkeypatch):
    """Reset the warnings that are issued only once."""
    monkeypatch.setattr(logger, "_warned", set())


def _palette(transparent):
    """Return a palette image of the first 200 RGB colors; ``transparent``: alpha per entry."""
    image = Image.fromarray(GRAY).convert("P")
    image.putpalette(RGB.reshape(-1, 3).tobytes() + bytes(56 * 3))
    if transparent is not None:
        image.info["transparency"] = transparent
    return image


MODES = {
    "L": (Image.fromarray(GRAY), GRAY3),
    "RGBA": (Image.fromarray(np.dstack([RGB, GRAY])), RGB),
    "LA": (Image.merge("LA", [Image.fromarray(GRAY), Image.fromarray(255 - GRAY)]), GRAY3),
    "P": (_palette(None), RGB),
    "P one color transparent": (_palette(3), RGB),
    "P alpha": (_palette(bytes(range(200))), RGB),
    "1": (Image.fromarray(GRAY > 99), np.stack([(GRAY > 99) * np.uint8(255)] * 3, axis=2)),
    "I;16": (Image.fromarray(GRAY.astype(np.uint16) * 257), GRAY3),
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
def test_cmyk_colors(ending, tmp_path):
    smooth = np.full((16, 16, 3), (200, 40, 90), np.uint8)
    Image.fromarray(smooth).convert("CMYK").save(tmp_path / f"image.{ending}")
    read = read_image(tmp_path / f"image.{ending}")
    np.testing.assert_allclose(np.asarray(read).astype(int), smooth, atol=3)


def test_sixteen_bits_in_a_tiff(tmp_path):
    Image.fromarray(GRAY.astype(np.uint16) * 257).save(tmp_path / "image.tif")
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / "image.tif")), GRAY3)


LINEAR = np.linspace(0, 1, 200).reshape(10, 20)


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (LINEAR.astype(np.float32), np.rint(LINEAR * 255)),  # 0 is black, 1 is white
        (np.zeros((4, 4), np.float32), np.zeros((4, 4))),
        (GRAY.astype(np.int32), GRAY),  # 8 bits in 32
        (GRAY.astype(np.int32) * 257, GRAY),  # 16 bits in 32
        (np.full((4, 4), 256, np.int32), np.full((4, 4), 256 // 257)),
        (np.full((4, 4), 65535, np.int32), np.full((4, 4), 255)),
    ],
)
def test_gray_of_more_bits_follows_the_documented_rule(pixels, expected, tmp_path):
    Image.fromarray(pixels).save(tmp_path / "image.tif")
    for read in (read_image(tmp_path / "image.tif"), as_rgb(Image.fromarray(pixels))):
        assert read.mode == "RGB"
        for channel in np.asarray(read).transpose(2, 0, 1):
            np.testing.assert_array_equal(channel, expected)


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (LINEAR.astype(np.float32) * 255, "its floats go from 0 to 255: scale them to 0 ... 1"),
        (LINEAR.astype(np.float32) - 0.5, "its floats go from -0.5 to 0.5"),
        (np.full((4, 4), np.nan, np.float32), "its floats go from nan to nan"),
        (np.full((4, 4), 65536, np.int32), "its 32-bit integers go from 0 to 65536: save it with"),
        (np.full((4, 4), -1, np.int32), "its 32-bit integers go from -1 to 0"),
    ],
)
def test_gray_of_unknown_range_is_refused(pixels, words, tmp_path):
    Image.fromarray(pixels).save(tmp_path / "image.tif")
    with pytest.raises(UserError, match=rf"image \S+image.tif cannot be read: {words}"):
        read_image(tmp_path / "image.tif")


@pytest.mark.parametrize("mode", Image.MODES)
def test_every_pillow_mode_keeps_its_colors(mode):
    if mode in ("I", "F"):
        pytest.skip("have no range of their own, see above")
    white = {"CMYK": 0, "YCbCr": (255, 128, 128), "HSV": (0, 0, 255), "LAB": (255, 128, 128)}
    full = {"LA": (255, 255), "La": (255, 255), "PA": (255, 255), "I;16B": 65535}
    value = {**white, **full}.get(mode, 65535 if mode.startswith("I;16") else 255)
    if mode in ("RGB", "RGBA", "RGBa", "RGBX"):
        value = (255,) * len(mode)
    image = Image.new(mode, (4, 3), value)
    if mode in ("P", "PA"):
        image.putpalette([255, 255, 255] * 256)
    read = to_rgb(image)
    assert (read.mode, read.size) == ("RGB", (4, 3))
    assert np.asarray(read).min() >= 254, mode


def test_a_nearly_black_16_bit_image_is_warned_about_once(tmp_path, caplog, forgetful):
    for number, most in enumerate((4095, 100, 65535, 4096, 0)):
        pixels = np.full((4, 4), most, np.uint16)
        Image.fromarray(pixels).save(tmp_path / "image.png")
        np.testing.assert_array_equal(np.asarray(read_image(tmp_path / "image.png")), most // 257)
        assert len(caplog.records) == 1, number
    assert "no value above 4095 of 65535 and comes out nearly black" in caplog.text


@pytest.mark.parametrize("ending", ["tif", "gif", "webp", "png"])
def test_only_the_first_frame_is_read_with_one_warning(ending, tmp_path, caplog, forgetful):
    first, second = (Image.new("RGB", (16, 16), color) for color in ("red", "blue"))
    first.save(tmp_path / "one.png")
    assert read_image(tmp_path / "one.png").getpixel((3, 3)) == (255, 0, 0)
    assert caplog.records == []
    for name in ("a", "b"):
        path = tmp_path / f"{name}.{ending}"
        first.save(path, save_all=True, append_images=[second])
        red, green, blue = read_image(path).getpixel((3, 3))
        assert red > 240
        assert max(green, blue) < 15
    assert len(caplog.records) == 1
    assert "a." + ending + " has several frames or pages: only the first is used" in caplog.text


def test_an_embedded_preview_is_not_a_second_page(tmp_path, caplog, forgetful):
    photograph, preview = Image.new("RGB", (64, 48), "red"), Image.new("RGB", (16, 12), "red")
    photograph.save(tmp_path / "photo.jpg", "MPO", save_all=True, append_images=[preview])
    assert read_image(tmp_path / "photo.jpg").size == (64, 48)
    assert caplog.records == []


def test_a_very_large_image_needs_an_environment_variable(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # more than twice the limit is refused
    Image.new("RGB", (20, 15)).save(tmp_path / "large.png")
    with pytest.raises(UserError, match=r"300 pixels.*variable MASKRCNN_MAX_IMAGE_PIXELS to that"):
        read_image(tmp_path / "large.png")
    for wrong in ("many", "0", "-5", "1e9"):
        monkeypatch.setenv("MASKRCNN_MAX_IMAGE_PIXELS", wrong)
        with pytest.raises(UserError, match=f"MASKRCNN_MAX_IMAGE_PIXELS is '{wrong}'"):
            read_image(tmp_path / "large.png")
    monkeypatch.setenv("MASKRCNN_MAX_IMAGE_PIXELS", "300")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(tmp_path / "large.png").size == (20, 15)


def _turned(path, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(RGB).save(path, exif=exif)
    return path


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_exif_orientation_is_applied(orientation, ending, tmp_path):
    path = _turned(tmp_path / f"image.{ending}", orientation)
    expected = UPRIGHT[orientation](RGB)
    np.testing.assert_array_equal(np.asarray(read_image(path)), expected)
    np.testing.assert_array_equal(np.asarray(as_rgb(str(path))), expected)


def test_annotated_size_decides_whether_the_orientation_is_applied(tmp_path):
    path = _turned(tmp_path / "image.png", 6)
    np.testing.assert_array_equal(np.asarray(read_image(path, (20, 10))), RGB)
    np.testing.assert_array_equal(np.asarray(read_image(path, (10, 20))), UPRIGHT[6](RGB))
    assert read_image(path, (7, 7)).size == (20, 10)  # neither size matches: the caller reports it
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
        (np.dstack([RGB, GRAY]), RGB),
        (GRAY, GRAY3),
        (GRAY[..., None], GRAY3),
        (GRAY.astype(np.uint16) * 257, GRAY3),
    ):
        np.testing.assert_array_equal(np.asarray(as_rgb(array)), expected)
    for wrong in (RGB / 255, RGB.transpose(2, 0, 1), RGB[:0], RGB[..., :2], GRAY[0]):
        with pytest.raises(ValueError, match=r"an image array must be uint8 \[H, W, 3\] in RGB"):
            as_rgb(wrong)
    with pytest.raises(TypeError, match="got bytes"):
        as_rgb(b"pixels")
