import numpy as np
import pytest

from maskrcnn_benchmark.visualization import contact_sheet


def test_pictures_stand_in_reading_order() -> None:
    pictures = [np.full((10, 20, 3), value, np.uint8) for value in (10, 60, 110)]
    sheet = contact_sheet(pictures, columns=2, cell_size=(40, 20), gap=4)
    assert sheet.shape == (4 + 20 + 4 + 20 + 4, 4 + 40 + 4 + 40 + 4, 3)
    assert (sheet[4:24, 4:44] == 10).all()
    assert (sheet[4:24, 48:88] == 60).all()
    assert (sheet[28:48, 4:44] == 110).all()
    assert (sheet[28:48, 48:] == 255).all()


def test_a_portrait_image_is_fitted_and_centered() -> None:
    sheet = contact_sheet([np.zeros((40, 20, 3), np.uint8)], cell_size=(40, 20), gap=0)
    dark = (sheet == 0).all(axis=(0, 2))
    assert np.flatnonzero(dark).tolist() == list(range(15, 25))


def test_titles_stand_above() -> None:
    picture = np.full((10, 20, 3), 10, np.uint8)
    plain = contact_sheet([picture], cell_size=(200, 100), gap=0)
    titled = contact_sheet([picture], ["a title"], cell_size=(200, 100), gap=0)
    bar = titled.shape[0] - plain.shape[0]
    assert (titled[bar:] == plain).all()
    assert titled[:bar].min() < 100


def test_no_picture_and_missing_titles_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([])
    with pytest.raises(ValueError, match="zip"):
        contact_sheet([np.zeros((4, 4, 3), np.uint8)], [])
