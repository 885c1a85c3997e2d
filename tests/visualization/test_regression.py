"""The six reference images, compared after a blur to tolerate other library versions."""

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from maskrcnn_benchmark.visualization import draw
from tests.visualization.cases import CASES, FOLDER

# The oldest and newest Pillow and OpenCV that are supported differ by 0.001 and 0.4; the smallest
# of the changes below by 0.28 in the mean.
_MEAN, _MAX = 0.15, 40


def _difference(drawn: NDArray[np.uint8], name: str) -> tuple[float, float]:
    """Return mean and maximum difference of the blurred images."""
    kept = np.asarray(Image.open(FOLDER / f"{name}.png"))
    assert drawn.shape == kept.shape
    blurred = [cv2.blur(picture.astype(np.float32), (9, 9)) for picture in (drawn, kept)]
    difference = np.abs(blurred[0] - blurred[1]).max(axis=-1)
    return float(difference.mean()), float(difference.max())


@pytest.mark.parametrize("name", CASES)
def test_the_picture_is_the_kept_one(name: str) -> None:
    mean, most = _difference(CASES[name](), name)
    assert mean < _MEAN
    assert most < _MAX
    assert (FOLDER / f"{name}.png").stat().st_size < 100_000


def _thicker(monkeypatch: pytest.MonkeyPatch) -> None:
    stroke = draw.stroke
    monkeypatch.setattr(draw, "stroke", lambda c, o, rgb, width: stroke(c, o, rgb, width + 1))


def _other_colors(monkeypatch: pytest.MonkeyPatch) -> None:
    colors_for = draw.colors_for
    monkeypatch.setattr(draw, "colors_for", lambda keys: colors_for(keys + 1))


def _a_label_less(monkeypatch: pytest.MonkeyPatch) -> None:
    place_labels = draw.place_labels

    def place(*args: Any) -> NDArray[np.int64]:
        corners = place_labels(*args)
        corners[-1:] = -1
        return corners

    monkeypatch.setattr(draw, "place_labels", place)


def _opaquer(monkeypatch: pytest.MonkeyPatch) -> None:
    fill = draw.fill
    monkeypatch.setattr(draw, "fill", lambda c, o, rgb, opacity: fill(c, o, rgb, opacity + 0.08))


@pytest.mark.parametrize("change", [_thicker, _other_colors, _a_label_less, _opaquer])
@pytest.mark.parametrize("name", ["scored", "tiny", "sheet"])
def test_a_change_would_be_seen(name: str, change: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    change(monkeypatch)
    mean, most = _difference(CASES[name](), name)
    assert mean > _MEAN or most > _MAX
