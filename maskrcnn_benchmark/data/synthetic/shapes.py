"""Outlines of the six classes of the embedded data set.

An outline is given in unit coordinates: x to the right, y down, centered at the origin, about two
units across before rotation, stretching and scaling. ``slim`` in [0, 1] ranges from compact to
thin-limbed and means the same for every class, so that no class is easier to segment than another
by construction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]  # [V, 2], (x, y)


@dataclass(frozen=True)
class Shape:
    """A filled region: the union of ``fills`` minus that of ``holes``, each a polygon [V, 2]."""

    fills: list[Points]
    holes: list[Points] = field(default_factory=list)

    def transformed(self, matrix: Points, offset: Points) -> Shape:
        """Map every vertex ``p`` to ``matrix @ p + offset`` of shapes [2, 2] and [2]."""

        def move(polygon: Points) -> Points:
            return polygon @ matrix.T + offset

        return Shape([move(p) for p in self.fills], [move(p) for p in self.holes])


def _circle(radius: float | Points, vertices: int = 72, phase: float = 0.0) -> Points:
    """Return a closed curve around the origin; ``radius`` is a number or one per vertex."""
    angles = phase + np.arange(vertices) * (2 * np.pi / vertices)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) * np.reshape(radius, (-1, 1))


def _wavy(rng: np.random.Generator, amplitude: float, vertices: int = 72) -> Points:
    """Return the radii of a smooth closed curve around 1, one per vertex."""
    angles = np.arange(vertices) * (2 * np.pi / vertices)
    radii = np.ones(vertices)
    for frequency in (2, 3, 4, 5):
        size = amplitude * rng.uniform(0.4, 1.0) / frequency
        radii += size * np.cos(frequency * angles + rng.uniform(0, 2 * np.pi))
    return radii


def stroke(path: Points, start_width: float, end_width: float) -> list[Points]:
    """Return polygons whose union is a path of tapering width with round joints.

    Args:
        path: [V, 2] vertices of the center line, V >= 2.
        start_width: width at the first vertex, in the units of ``path``.
        end_width: width at the last vertex.
    """
    widths = np.linspace(start_width, end_width, len(path)) / 2
    polygons = [_circle(float(w), 12) + p for p, w in zip(path, widths, strict=True)]
    for i in range(len(path) - 1):
        along = path[i + 1] - path[i]
        normal = np.array([-along[1], along[0]]) / max(float(np.hypot(*along)), 1e-9)
        near, far = normal * widths[i], normal * widths[i + 1]
        polygons.append(
            np.stack([path[i] - near, path[i + 1] - far, path[i + 1] + far, path[i] + near])
        )
    return polygons


def _blob(rng: np.random.Generator, slim: float) -> Shape:
    return Shape([_circle(np.clip(_wavy(rng, 0.25 + 0.6 * slim), 0.25, None))])


def _star(rng: np.random.Generator, slim: float) -> Shape:
    arms = int(rng.integers(5, 9))
    radii = np.empty(2 * arms)
    radii[0::2] = rng.uniform(0.85, 1.15, arms)
    radii[1::2] = 0.62 - 0.38 * slim
    return Shape([_circle(radii, 2 * arms)])


def _ring(rng: np.random.Generator, slim: float) -> Shape:
    outer = _wavy(rng, 0.25)
    hole = _circle(outer * (0.38 + 0.36 * slim))
    return Shape([_circle(outer)], [hole + rng.uniform(-0.08, 0.08, 2)])


def _tree(rng: np.random.Generator, slim: float) -> Shape:
    width = 0.42 - 0.26 * slim
    fills = stroke(
        np.array([[0.0, 1.0], [rng.uniform(-0.1, 0.1), 0.0], [0.0, -0.9]]), width, width / 2
    )
    for height in np.linspace(0.35, -0.65, int(rng.integers(3, 6))):
        for side in (-1.0, 1.0):
            reach = rng.uniform(0.45, 0.95)
            tip = np.array([side * reach, height - rng.uniform(0.15, 0.5)])
            bend = np.array([side * reach * 0.5, height - rng.uniform(0.0, 0.15)])
            fills += stroke(np.array([[0.0, height], bend, tip]), width * 0.8, width * 0.45)
    return Shape(fills)


def _shard(rng: np.random.Generator, slim: float) -> Shape:
    corners = int(rng.integers(4, 8))
    radii = rng.uniform(0.8, 1.15, corners)
    dents = rng.permutation(corners)[: 1 + corners // 4]
    radii[dents] *= 1.0 - 0.65 * slim
    polygon = _circle(radii, corners)
    return Shape([polygon * np.array([1.0, 1.0 - 0.3 * slim])])


def _gear(rng: np.random.Generator, slim: float) -> Shape:
    teeth = int(rng.integers(7, 12))
    inner = 0.82 - 0.3 * slim
    radii = np.tile([1.0, 1.0, inner, inner], teeth)
    holes = [_circle(inner * rng.uniform(0.35, 0.6), 36)] if rng.random() < 0.5 else []
    return Shape([_circle(radii, 4 * teeth)], holes)


_OUTLINES: dict[str, Callable[[np.random.Generator, float], Shape]] = {
    "blob": _blob,
    "star": _star,
    "ring": _ring,
    "tree": _tree,
    "shard": _shard,
    "gear": _gear,
}
CLASS_NAMES = tuple(_OUTLINES)


def _tail(rng: np.random.Generator) -> list[Points]:
    """Return a thin curl that starts inside the body and leaves it."""
    angle, bend = rng.uniform(0, 2 * np.pi), rng.uniform(-1.2, 1.2)
    angles = angle + bend * np.linspace(0, 1, 7)
    path = np.stack([np.cos(angles), np.sin(angles)], axis=1) * np.linspace(0.5, 1.6, 7)[:, None]
    return stroke(path, rng.uniform(0.12, 0.22), 0.07)


def sample_shape(class_name: str, rng: np.random.Generator) -> Shape:
    """Return a random outline of a class, rotated and stretched, in unit coordinates.

    Args:
        class_name: one of ``CLASS_NAMES``.
        rng: generator, which is advanced.
    """
    shape = _OUTLINES[class_name](rng, rng.uniform(0, 1))
    if rng.random() < 0.3:
        shape = Shape(shape.fills + _tail(rng), shape.holes)
    angle = rng.uniform(-0.5, 0.5) if class_name == "tree" else rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    stretch = np.exp(rng.uniform(-0.3, 0.3))
    return shape.transformed(np.diag([stretch, 1 / stretch]) @ turn, np.zeros(2))
