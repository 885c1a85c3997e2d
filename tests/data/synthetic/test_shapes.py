import numpy as np
import pytest

from maskrcnn_benchmark.data.synthetic.shapes import CLASS_NAMES, sample_shape, stroke


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_outlines_stay_near_the_unit_circle(name: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        points = np.concatenate(sample_shape(name, rng).fills)
        assert np.isfinite(points).all()
        assert np.abs(points).max() < 2.6
        assert np.ptp(points, axis=0).min() > 0.5


def test_transformed_maps_every_vertex() -> None:
    shape = sample_shape("ring", np.random.default_rng(1))
    moved = shape.transformed(np.array([[0.0, -2.0], [2.0, 0.0]]), np.array([3.0, 4.0]))
    for before, after in zip(shape.fills + shape.holes, moved.fills + moved.holes, strict=True):
        np.testing.assert_allclose(after[:, 0], 3 - 2 * before[:, 1])
        np.testing.assert_allclose(after[:, 1], 4 + 2 * before[:, 0])
    assert len(moved.holes) == 1


def test_stroke_has_the_given_widths() -> None:
    polygons = np.concatenate(stroke(np.array([[0.0, 0.0], [10.0, 0.0]]), 4.0, 2.0))
    at_start = polygons[np.abs(polygons[:, 0]) < 1e-6][:, 1]
    at_end = polygons[np.abs(polygons[:, 0] - 10) < 1e-6][:, 1]
    assert (at_start.min(), at_start.max()) == pytest.approx((-2, 2))
    assert (at_end.min(), at_end.max()) == pytest.approx((-1, 1))
