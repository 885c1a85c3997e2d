"""Six scenes with reference images in ``pictures/``, to detect changes in drawing.

After an intended change, run ``python -m tests.visualization.cases``, inspect the new images and
commit them with the change.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskrcnn_benchmark.visualization import Instances, contact_sheet, draw_instances

FOLDER = Path(__file__).parent / "pictures"
Picture = NDArray[np.uint8]


def _ground(height: int, width: int, *, gray: bool = False) -> Picture:
    """Return a floor and a wall with slow gradients, which compress well."""
    y, x = np.mgrid[:height, :width]
    wall = np.stack([150 + 60 * y / height, 160 + 40 * x / width, 170 + 0 * x], axis=-1)
    floor = np.stack([110 - 30 * x / width, 95 + 20 * y / height, 80 + 0 * x], axis=-1)
    picture = np.where((y < 0.6 * height)[..., None], wall, floor)
    if gray:
        picture = picture.mean(axis=-1, keepdims=True).repeat(3, axis=-1)
    return (picture // 8 * 8).astype(np.uint8)


def _ellipse(
    size: tuple[int, int], x: float, y: float, rx: float, ry: float, angle: float = 0.0
) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[: size[0], : size[1]]
    c, s = np.cos(angle), np.sin(angle)
    dx, dy = columns - x, rows - y
    return ((c * dx + s * dy) / rx) ** 2 + ((c * dy - s * dx) / ry) ** 2 <= 1


def _person(size: tuple[int, int], x: float, y: float, height: float) -> NDArray[np.bool_]:
    """Return a head, trunk and two legs; (x, y) is the top of the head."""
    h = height
    parts = (
        _ellipse(size, x, y + 0.08 * h, 0.07 * h, 0.09 * h),
        _ellipse(size, x, y + 0.37 * h, 0.13 * h, 0.24 * h),
        _ellipse(size, x - 0.07 * h, y + 0.76 * h, 0.05 * h, 0.24 * h, 0.12),
        _ellipse(size, x + 0.07 * h, y + 0.76 * h, 0.05 * h, 0.24 * h, -0.12),
    )
    return np.logical_or.reduce(parts)


def scored() -> Picture:
    """Detections with both scores, two overlapping, and a small ball."""
    size = (240, 320)
    masks = [
        _person(size, 90, 40, 170),
        _person(size, 135, 60, 150),
        _person(size, 255, 70, 120),
        _ellipse(size, 195, 205, 5, 5),
    ]
    instances = Instances(
        masks=masks,
        names=["person", "person", "person", "sports ball"],
        scores=np.array([0.98, 0.91, 0.87, 0.62]),
        mask_ious=np.array([0.71, 0.66, 0.93, 0.45]),
    )
    return draw_instances(_ground(*size), instances, long_side=640)


def dense() -> Picture:
    """Fifty small instances: small text, and omitted labels."""
    size, rng = (130, 180), np.random.default_rng(5)
    places = [(x, y) for y in range(14, 130, 22) for x in range(14, 180, 24)]
    masks = [
        _ellipse(
            size, *(np.array(p) + rng.uniform(-4, 4, 2)), *rng.uniform(4, 11, 2), rng.uniform(0, 3)
        )
        for p in places
    ]
    scores = np.linspace(0.99, 0.5, len(masks))
    instances = Instances(
        masks=masks, names=["cell"] * len(masks), scores=scores, mask_ious=scores[::-1]
    )
    return draw_instances(_ground(*size), instances, long_side=480)


def tiny() -> Picture:
    """A 64 x 48 image: one pixel, thin lines, a disc."""
    size = (48, 64)
    masks = np.zeros((4, *size), bool)
    masks[0, 10, 12] = True
    masks[1, 20, 8:40] = True
    masks[2, 5:40, 52] = True
    masks[3] = _ellipse(size, 24, 34, 8, 8)
    names = ["pixel", "line", "pole", "disc"]
    return draw_instances(_ground(*size), Instances(masks=masks, names=names), long_side=512)


def by_class() -> Picture:
    """Colors by class, boxes, a hole, two parts, a crowd."""
    size = (240, 320)
    ring = _ellipse(size, 70, 80, 45, 45) & ~_ellipse(size, 70, 80, 25, 25)
    parts = _ellipse(size, 160, 60, 22, 22) | _ellipse(size, 215, 75, 9, 9)
    crowd = np.logical_or.reduce(
        [_ellipse(size, x, 185 + 12 * (x % 3), 14, 20) for x in range(150, 300, 22)]
    )
    instances = Instances(
        masks=[ring, parts, crowd, _ellipse(size, 60, 190, 40, 22, 0.4)],
        labels=np.array([3, 18, 1, 3]),
        names=["donut", "dog", "person", "donut"],
        is_crowd=np.array([False, False, True, False]),
    )
    return draw_instances(
        _ground(*size), instances, color_by="class", draw_boxes=True, long_side=640
    )


def gray_large() -> Picture:
    """A gray 1000-pixel image drawn at its size, with instances at the borders."""
    size = (600, 1000)
    masks = [
        _person(size, 20, 120, 430),
        _person(size, 500, 260, 330),
        _ellipse(size, 985, 590, 120, 70),
        _ellipse(size, 480, 5, 200, 40),
        _ellipse(size, 760, 300, 90, 3, 0.7),
    ]
    names = ["person", "person", "boat", "kite", "pole"]
    instances = Instances(masks=masks, names=names, scores=np.linspace(0.9, 0.6, 5))
    return draw_instances(_ground(*size, gray=True), instances)


def sheet() -> Picture:
    """Contact sheet of ground truth next to detections, one image without detections."""
    size = (120, 160)
    mask = _person(size, 80, 15, 95)
    truth = draw_instances(_ground(*size), Instances(masks=[mask], names=["person"]), long_side=320)
    found = Instances(
        masks=[_ellipse(size, 80, 62, 20, 45)], names=["person"], scores=[0.95], mask_ious=[0.62]
    )
    pictures = [
        truth,
        draw_instances(_ground(*size), found, long_side=320),
        draw_instances(_ground(*size), Instances(), long_side=320),
    ]
    titles = ["ground truth", "detections", "no detections"]
    return contact_sheet(pictures, titles, columns=2, cell_size=(320, 240))


CASES: dict[str, Callable[[], Picture]] = {
    case.__name__: case for case in (scored, dense, tiny, by_class, gray_large, sheet)
}


def write(folder: Path) -> None:
    """Redraw the reference images."""
    folder.mkdir(exist_ok=True)
    for name, draw in CASES.items():
        Image.fromarray(draw()).save(folder / f"{name}.png", optimize=True)


if __name__ == "__main__":
    write(FOLDER)
