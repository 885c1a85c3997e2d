import numpy as np
import pytest

from maskrcnn_benchmark.visualization.outline import outline


def _disc(size: int, center: float, radius: float) -> np.ndarray:
    y, x = np.mgrid[:size, :size]
    return np.hypot(x - center, y - center) < radius


@pytest.mark.parametrize("factor", [1.0, 1.3, 2.0, 4.7])
def test_the_contour_of_a_disc_is_a_circle_without_stairs(factor: float) -> None:
    side = round(64 * factor)
    found = outline(_disc(64, 31.0, 20.0), factor, (side, side))
    assert found is not None
    (contour,) = found.contours
    center = (31.0 + 0.5) * factor - 0.5  # of the pixel 31, in output pixels
    np.testing.assert_allclose(contour.mean(axis=0), center, atol=0.1 * factor)
    radii = np.linalg.norm(contour - center, axis=1)
    assert abs(radii.mean() - 20 * factor) < 0.8 * factor
    assert radii.std() < 0.25 * factor
    np.testing.assert_allclose(found.coverage.sum(), found.area, rtol=0.06)


def test_edges_of_the_fill_are_soft() -> None:
    found = outline(_disc(64, 31.0, 20.0), 2.0, (128, 128))
    assert found is not None
    soft = (found.coverage > 0.05) & (found.coverage < 0.95)
    assert 0.5 < soft.sum() / (2 * np.pi * 40) < 3  # a border of about one output pixel
    assert (found.coverage == 1).sum() > 0.8 * found.area


@pytest.mark.parametrize("factor", [1.0, 1.2, 1.9, 5.0])
@pytest.mark.parametrize("box", [(10, 12, 11, 13), (0, 0, 1, 1), (5, 3, 25, 4), (29, 2, 30, 18)])
def test_a_pixel_and_a_thin_line_survive(factor: float, box: tuple[int, int, int, int]) -> None:
    x1, y1, x2, y2 = box
    mask = np.zeros((20, 30), bool)
    mask[y1:y2, x1:x2] = True
    found = outline(mask, factor, (round(20 * factor), round(30 * factor)))
    assert found is not None
    assert found.coverage.max() > 0.3
    edges = np.array([x1, y1, x2, y2]) * factor - 0.5
    # the ends of a line are turned round within the smoothing, 1.2 pixels
    assert (np.abs(found.box - edges) < 1.2 * factor).all()


def test_a_hole_and_a_second_part_have_their_contours() -> None:
    mask = np.zeros((60, 80), bool)
    mask[5:45, 5:45] = True
    mask[15:30, 15:30] = False
    mask[50:55, 70:75] = True
    found = outline(mask, 1.0, (60, 80))
    assert found is not None
    assert len(found.contours) == 3
    rows, columns = found.window
    coverage = np.zeros((60, 80), np.float32)
    coverage[rows, columns] = found.coverage
    assert coverage[22, 22] == 0
    assert coverage[52, 72] == 1
    assert found.box[2] < 50  # the larger part's


def test_no_mask_no_outline() -> None:
    assert outline(np.zeros((10, 10), bool), 2.0, (20, 20)) is None
