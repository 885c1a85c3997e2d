"""Files from visitors: refused with a message before they are decoded."""

import numpy as np
import pytest
from PIL import Image

from maskrcnn_benchmark.predict.web import upload
from maskrcnn_benchmark.predict.web.upload import read_upload
from maskrcnn_benchmark.utils.user_error import UserError
from tests.predict.web.cases import huge_png


def refusal(path, **options):
    with pytest.raises(UserError) as caught:
        read_upload(path, **options)
    assert str(path.parent) not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_images_are_read(kind, tmp_path):
    path = tmp_path / "image"  # the content decides, not the name
    Image.new("RGB", (40, 30), (10, 200, 30)).save(path, kind)
    image = read_upload(path)
    assert (image.mode, image.size) == ("RGB", (40, 30))
    np.testing.assert_allclose(image.getpixel((20, 10)), (10, 200, 30), atol=8)


def test_photos_are_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(tmp_path / "a.jpg", exif=exif)
    assert read_upload(tmp_path / "a.jpg").size == (30, 40)


@pytest.mark.parametrize("content", [b"", b"hello", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\x89PNG\r\n"])
def test_what_is_no_image(content, tmp_path):
    (tmp_path / "notes.txt").write_bytes(content)
    assert refusal(tmp_path / "notes.txt").startswith("notes.txt is not an image. Use JPEG, PNG")


def test_a_broken_image(tmp_path):
    path = tmp_path / "cut.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 50, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:3000])
    assert refusal(path).startswith("image cut.png cannot be read: ")


@pytest.mark.parametrize(
    ("side", "words"), [(9000, "huge.png has 9000 x 9000 pixels"), (20000, "has too many pixels")]
)
def test_a_huge_image_is_not_decoded(side, words, tmp_path, monkeypatch):
    path = tmp_path / "huge.png"
    path.write_bytes(huge_png(side, side))
    monkeypatch.setattr(upload, "read_image", lambda _: pytest.fail("it was decoded"))
    message = refusal(path)
    assert words in message and "the limit is 50 million" in message


def test_the_limit_itself_is_allowed(tmp_path):
    Image.new("RGB", (100, 50)).save(tmp_path / "a.png")
    assert read_upload(tmp_path / "a.png", max_pixels=5000).size == (100, 50)
    assert "100 x 50 pixels" in refusal(tmp_path / "a.png", max_pixels=4999)
