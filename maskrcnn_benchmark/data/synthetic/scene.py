"""One image of the embedded data set: textured background, overlapping instances, exact masks.

Two properties are drawn for every instance, independent of each other, of class and of size:
``difficulty``, how hard its border is to see (camouflage, blur), and ``cue``, how clearly the
marks on its body show the class. Hence a high class score does not imply a good mask.

Masks are ``SUPERSAMPLING`` times finer than the image: boolean [S*H, S*W].
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from maskrcnn_benchmark.data.synthetic.shapes import CLASS_NAMES, Shape, sample_shape
from maskrcnn_benchmark.data.synthetic.textures import (
    Field,
    Ground,
    Image,
    fractal_noise,
    mark_color,
    smoothstep,
)

SUPERSAMPLING = 4
_SHIFT = 4  # sub-pixel bits of cv2.fillPoly
_MIN_VISIBLE_FRACTION = 0.3
_MIN_VISIBLE_PIXELS = 50
_EMPTY_SHARE, _CROWD_SHARE = 0.03, 0.05

Mask = NDArray[np.bool_]
Point = NDArray[np.float64]  # [2], (x, y)


@dataclass
class Instance:
    """One object or crowd region of a scene.

    Attributes:
        class_index: index into ``CLASS_NAMES``.
        difficulty: 0 (crisp border) to 1 (hardly visible border).
        cue: 0.4 (grayish marks) to 1 (marks in the full hue of the class).
        visible: the part not occluded by other instances, bool [S*H, S*W].
        area: area before occlusion, in fine pixels.
        is_crowd: whether it is a region of many small objects.
    """

    class_index: int
    difficulty: float
    cue: float
    visible: Mask
    area: int
    is_crowd: bool = False


@dataclass
class Scene:
    """An image (uint8 RGB [H, W, 3]) and its instances, from back to front."""

    image: NDArray[np.uint8]
    instances: list[Instance]


def _draw(shape: Shape, size: tuple[int, int]) -> Mask:
    """Rasterize a shape given in image coordinates; ``size`` is (height, width) of the image."""
    scale = SUPERSAMPLING * 2**_SHIFT
    canvas = np.zeros((size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING), np.uint8)
    for polygons, value in ((shape.fills, 255), (shape.holes, 0)):
        for polygon in polygons:
            # pixel centers lie at integers in OpenCV and at halves here
            fixed = np.rint(polygon * scale - 2 ** (_SHIFT - 1)).astype(np.int32)
            cv2.fillPoly(canvas, [fixed], value, lineType=cv2.LINE_8, shift=_SHIFT)
    return canvas > 0


def _coverage(mask: Mask) -> Field:
    """Return the fraction of every pixel that a fine mask covers, float32 [H, W]."""
    size = (mask.shape[1] // SUPERSAMPLING, mask.shape[0] // SUPERSAMPLING)
    covered = cv2.resize(mask.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA)
    return covered.astype(np.float32) / np.float32(255)


def _blur(field: NDArray[Any], sigma: float) -> Field:
    return cv2.GaussianBlur(field, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE).astype(
        np.float32
    )


def _blend(image: Image, color: NDArray[np.float32], weight: Field) -> None:
    """Blend ``color`` ([3] or [H, W, 3]) into ``image`` by ``weight`` [H, W], in place."""
    image += (color - image) * weight[..., None]


def _own_color_share(
    rng: np.random.Generator, size: tuple[int, int], difficulty: float, radius: float
) -> Field:
    """Return how much an instance shows its own color at each pixel, as opposed to camouflage."""
    low = 0.03 + 0.9 * (1 - difficulty) ** 1.5
    high = 0.95 - 0.45 * difficulty
    patches = fractal_noise(rng, size, 0.9 * radius, 2)
    edge = -0.2 + 0.85 * difficulty
    return low + (max(high, low) - low) * smoothstep(patches, edge - 0.12, edge + 0.12)


def _mark_field(mask: Mask, rng: np.random.Generator) -> Field:
    """Return the weight [H, W] of one to three round marks on the thickest parts of a mask."""
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    marks = np.zeros(mask.shape, np.uint8)
    for _ in range(int(rng.integers(1, 4))):
        y, x = np.unravel_index(int(np.argmax(depth)), depth.shape)
        room = float(depth[y, x]) / SUPERSAMPLING
        if room < 1.0:
            break
        radius = float(np.clip(0.5 * room, 1.2, 7.0)) * SUPERSAMPLING
        cv2.circle(marks, (int(x), int(y)), round(radius), 255, -1)
        cv2.circle(depth, (int(x), int(y)), round(3.2 * radius), 0.0, -1)
    return _blur(_coverage(marks > 0), 0.5)


def _window(mask: Mask, margin: int) -> tuple[slice, slice]:
    """Return rows and columns that bound a non-empty fine mask, widened by ``margin`` pixels."""
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    spans = []
    for start, length, limit in ((y, height, mask.shape[0]), (x, width, mask.shape[1])):
        first = start // SUPERSAMPLING - margin
        last = -(-(start + length) // SUPERSAMPLING) + margin
        spans.append(slice(max(first, 0), min(last, limit // SUPERSAMPLING)))
    return spans[0], spans[1]


def _fine(window: tuple[slice, slice]) -> tuple[slice, slice]:
    """Return a window of the image in the coordinates of a fine mask."""
    rows, columns = (slice(w.start * SUPERSAMPLING, w.stop * SUPERSAMPLING) for w in window)
    return rows, columns


def _paint(picture: Image, instance: Instance, ground: Ground, rng: np.random.Generator) -> None:
    """Paint an instance into the image in place: shadow, body, rim, marks."""
    window = _window(instance.visible, margin=14)
    image, mask = picture[window], instance.visible[_fine(window)]
    size = (image.shape[0], image.shape[1])
    alpha = _coverage(mask)
    radius = float(np.sqrt(instance.area / np.pi)) / SUPERSAMPLING

    shift = np.array([[1, 0, rng.uniform(-5, 5)], [0, 1, rng.uniform(1, 5)]], np.float32)
    shadow = _blur(cv2.warpAffine(alpha, shift, (size[1], size[0])), rng.uniform(1.5, 3))
    image *= 1 - rng.uniform(0, 0.4) * shadow[..., None]

    share = _own_color_share(rng, size, instance.difficulty, radius)
    body = ground.paint(rng, size)
    mottle = 0.8 + 0.35 * fractal_noise(rng, size, rng.uniform(4, 16), 3)
    _blend(body, ground.unlike(rng) * mottle[..., None], share)
    rim = alpha - _blur(alpha, 1.6) * alpha
    body *= 1 - 0.9 * (rim * share)[..., None]
    _blend(image, body, _blur(alpha, 0.35 + 1.6 * instance.difficulty * rng.uniform(0.3, 1)))

    color = mark_color(instance.class_index, len(CLASS_NAMES), instance.cue)
    _blend(image, color, _mark_field(mask, rng) * np.float32(0.9))


def _clutter(image: Image, ground: Ground, rng: np.random.Generator) -> None:
    """Paint soft patches without marks, so that contrast alone does not indicate an object."""
    height, width = image.shape[:2]
    for _ in range(int(rng.integers(2, 7))):
        name = CLASS_NAMES[int(rng.integers(len(CLASS_NAMES)))]
        center = rng.uniform(0, 1, 2) * (width, height)
        shape = sample_shape(name, rng).transformed(
            np.eye(2) * rng.uniform(3, 0.12 * height), center
        )
        alpha = _blur(_coverage(_draw(shape, (height, width))), rng.uniform(0.5, 4))
        color = ground.unlike(rng) * np.float32(rng.uniform(0.7, 1.1))
        _blend(image, color, alpha * np.float32(rng.uniform(0.15, 0.6)))


def _position(rng: np.random.Generator, size: tuple[int, int], instances: list[Instance]) -> Point:
    """Draw a center (x, y), often close to an existing instance."""
    extent = np.array([size[1], size[0]])
    if instances and rng.random() < 0.35:
        other = instances[int(rng.integers(len(instances)))]
        rows, columns = _window(other.visible, margin=0)
        center = np.array([columns.start + columns.stop, rows.start + rows.stop]) / 2
        center += rng.normal(0, 0.7 * np.sqrt(other.area) / SUPERSAMPLING, 2)
    else:
        center = rng.uniform(0.06, 0.94, 2) * extent
    return np.clip(center, 0.04 * extent, 0.96 * extent)


def _leaves_enough(mask: Mask, instances: list[Instance]) -> bool:
    """Return whether every instance behind ``mask`` stays visible enough to be annotated."""
    for other in instances:
        left = np.count_nonzero(other.visible & ~mask)
        hides = left < np.count_nonzero(other.visible)
        least = max(_MIN_VISIBLE_FRACTION * other.area, _MIN_VISIBLE_PIXELS * SUPERSAMPLING**2)
        if hides and left < least:
            return False
    return True


def _place(
    rng: np.random.Generator, size: tuple[int, int], class_index: int, instances: list[Instance]
) -> Mask | None:
    """Return the fine mask of a new front instance; None if there is no room."""
    small = min(size)
    radius = small * float(np.exp(rng.uniform(np.log(0.06), np.log(0.28))))
    for _ in range(8):
        shape = sample_shape(CLASS_NAMES[class_index], rng)
        center = _position(rng, size, instances)
        mask = _draw(shape.transformed(np.eye(2) * radius, center), size)
        if np.count_nonzero(mask) >= _MIN_VISIBLE_PIXELS * SUPERSAMPLING**2 and _leaves_enough(
            mask, instances
        ):
            return mask
    return None


def _add(scene: list[Instance], instance: Instance, mask: Mask) -> None:
    """Put an instance in front of the others."""
    for other in scene:
        other.visible &= ~mask
    scene.append(instance)


def _crowd(image: Image, ground: Ground, rng: np.random.Generator) -> Instance:
    """Paint many small objects of one class that form one crowd region."""
    height, width = image.shape[:2]
    class_index = int(rng.integers(len(CLASS_NAMES)))
    center = rng.uniform(0.25, 0.75, 2) * (width, height)
    region = np.zeros((height * SUPERSAMPLING, width * SUPERSAMPLING), bool)
    crowd = Instance(class_index, 0.0, 0.0, region, 0, is_crowd=True)
    for _ in range(int(rng.integers(14, 28))):
        offset = rng.normal(0, 1, 2) * (0.13 * width, 0.11 * height)
        outline = sample_shape(CLASS_NAMES[class_index], rng)
        mask = _draw(
            outline.transformed(np.eye(2) * rng.uniform(5, 9), center + offset), (height, width)
        )
        if mask.any():
            area = int(np.count_nonzero(mask))
            member = Instance(class_index, rng.uniform(0, 0.6), rng.uniform(0.4, 1), mask, area)
            _paint(image, member, ground, rng)
            region |= mask
    crowd.area = int(np.count_nonzero(region))
    return crowd


def sample_scene(rng: np.random.Generator, size: tuple[int, int]) -> Scene:
    """Generate one image.

    Args:
        rng: generator, which is advanced; the same state gives the same scene.
        size: (height, width) in pixels.
    """
    ground = Ground(rng)
    image = ground.paint(rng, size)
    image *= (0.8 + 0.35 * fractal_noise(rng, size, 0.8 * max(size), 2))[..., None]
    _clutter(image, ground, rng)
    instances: list[Instance] = []
    kind = rng.random()
    if _EMPTY_SHARE <= kind < _EMPTY_SHARE + _CROWD_SHARE:
        instances.append(_crowd(image, ground, rng))
    for _ in range(0 if kind < _EMPTY_SHARE else int(rng.integers(3, 10))):
        class_index = int(rng.integers(len(CLASS_NAMES)))
        mask = _place(rng, size, class_index, instances)
        if mask is not None:
            traits = (float(rng.uniform(0, 1)), float(rng.uniform(0.4, 1)))
            instance = Instance(class_index, *traits, mask, int(np.count_nonzero(mask)))
            _paint(image, instance, ground, rng)
            _add(instances, instance, mask)
    noisy = _blur(image, rng.uniform(0.3, 0.6)) + rng.normal(0, 2, image.shape)
    return Scene(np.clip(np.rint(noisy), 0, 255).astype(np.uint8), instances)
