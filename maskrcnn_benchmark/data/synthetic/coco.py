"""Writing of the embedded data set in COCO format."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from maskrcnn_benchmark.data.synthetic.scene import SUPERSAMPLING, Instance, sample_scene
from maskrcnn_benchmark.data.synthetic.shapes import CLASS_NAMES
from maskrcnn_benchmark.structures.rle import encode_rle, read_runs, rle_areas, rle_box, to_rle

_SPLITS = ("train", "val")
_MIN_PART_PIXELS = 6  # smaller parts are omitted, as by a human annotator
_TOLERANCE = 0.3  # tolerance of polygon simplification, in pixels
_SMALLEST_IMAGE = 64


def _polygons(visible: NDArray[np.bool_]) -> tuple[list[list[float]], bool]:
    """Return the outer borders of a fine mask as flat polygons in pixels, and if it has a hole."""
    x, y, width, height = cv2.boundingRect(visible.view(np.uint8))
    # OpenCV follows the centers of border pixels; doubling halves the rim that this cuts off
    doubled = visible[y : y + height, x : x + width].astype(np.uint8).repeat(2, 0).repeat(2, 1)
    scale = 2 * SUPERSAMPLING
    contours, hierarchy = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    polygons, has_hole = [], False
    for contour, (_, _, _, parent) in zip(contours, hierarchy[0] if contours else (), strict=True):
        if cv2.contourArea(contour) < _MIN_PART_PIXELS * scale**2:
            continue
        if parent >= 0:
            has_hole = True
            continue
        simple = cv2.approxPolyDP(contour, _TOLERANCE * scale, closed=True).reshape(-1, 2)
        if len(simple) >= 3:
            points = (simple + 0.5) / scale + np.array([x, y]) / SUPERSAMPLING
            polygons.append([round(float(v), 2) for v in points.ravel()])
    return polygons, has_hole


def _pixel_mask(visible: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return the pixels [H, W] that a fine mask covers by at least half, without tiny parts."""
    size = (visible.shape[1] // SUPERSAMPLING, visible.shape[0] // SUPERSAMPLING)
    covered = cv2.resize(visible.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA) >= 128
    _, parts, stats, _ = cv2.connectedComponentsWithStats(covered.astype(np.uint8), connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] >= _MIN_PART_PIXELS
    large[0] = False
    return large[parts].astype(np.uint8)


def _annotation(instance: Instance) -> dict[str, Any] | None:
    """Return the COCO entry of an instance without ids; None if too little of it is visible.

    Masks with holes become compressed RLE, crowds uncompressed RLE, all others polygons.
    """
    height, width = (side // SUPERSAMPLING for side in instance.visible.shape)
    polygons, has_hole = _polygons(instance.visible)
    segmentation: Any = polygons
    if instance.is_crowd or has_hole:
        rle = encode_rle(_pixel_mask(instance.visible))
        segmentation = {**rle, "counts": read_runs(rle, height, width).tolist()}
        segmentation = segmentation if instance.is_crowd else rle
    elif polygons:
        rle = to_rle(polygons, height, width)
    else:
        return None
    area = float(rle_areas([rle])[0])
    if area < 1:
        return None
    return {
        "category_id": instance.class_index + 1,
        "iscrowd": int(instance.is_crowd),
        "bbox": rle_box(rle),
        "area": area,
        "segmentation": segmentation,
        "difficulty": round(instance.difficulty, 4),
        "cue": round(instance.cue, 4),
    }


def _image_size(rng: np.random.Generator, nominal: tuple[int, int]) -> tuple[int, int]:
    """Return a (height, width) near the nominal (width, height); one in four is portrait."""
    width, height = (max(_SMALLEST_IMAGE, round(s * rng.uniform(0.85, 1.15))) for s in nominal)
    return (width, height) if rng.random() < 0.25 else (height, width)


def _write_image(path: Path, image: NDArray[np.uint8]) -> None:
    encoded = cv2.imencode(".png", image[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 3])[1]
    path.write_bytes(encoded.tobytes())


def _scenes(
    folder: Path, count: int, entropy: tuple[int, int], nominal: tuple[int, int]
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Draw and write the images of a split; yield each image entry with its annotations."""
    for index in range(count):
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([*entropy, index])))
        height, width = _image_size(rng, nominal)
        scene = sample_scene(rng, (height, width))
        file_name = f"{index + 1:06d}.png"
        _write_image(folder / file_name, scene.image)
        entry = {"id": index + 1, "file_name": file_name, "width": width, "height": height}
        annotations = [a for i in scene.instances if (a := _annotation(i)) is not None]
        yield entry, annotations


def write_synthetic_coco(
    folder: str | Path,
    *,
    num_train: int = 1000,
    num_val: int = 200,
    seed: int = 0,
    image_size: tuple[int, int] = (256, 192),
    progress: bool = False,
) -> Path:
    """Generate the embedded data set.

    Writes ``annotations/instances_{train,val}.json`` and PNG images under ``train/`` and ``val/``.
    With the same versions of NumPy and OpenCV, a seed gives the same bytes in every file; image
    ``i`` of a split does not depend on their number. An annotation file is written after its
    pictures, so its presence means that the split is complete. Each annotation carries two keys
    beyond COCO's, both drawn independently of class and size: "difficulty" (how hard the border is
    to see, 0 to 1) and "cue" (how clearly the marks show the class, 0.4 to 1).

    Args:
        folder: output folder, created if needed; existing files are overwritten.
        num_train: number of training pictures.
        num_val: number of validation pictures.
        seed: any non-negative number.
        image_size: nominal (width, height) in pixels; images vary by 15 % around it.
        progress: whether to show a progress bar.

    Returns:
        The folder.

    Raises:
        ValueError: for a negative count or seed, or an image side under 64 pixels.
    """
    if min(num_train, num_val, seed) < 0:
        raise ValueError(f"need num_train, num_val, seed >= 0, got {num_train}, {num_val}, {seed}")
    if min(image_size) < _SMALLEST_IMAGE:
        raise ValueError(f"image_size={image_size}: both sides must be >= {_SMALLEST_IMAGE} pixels")
    root = Path(folder)
    categories = [
        {"id": i + 1, "name": name, "supercategory": "shape"} for i, name in enumerate(CLASS_NAMES)
    ]
    info = {"description": "Synthetic shapes", "seed": seed, "image_size": list(image_size)}
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    for split_index, (split, count) in enumerate(zip(_SPLITS, (num_train, num_val), strict=True)):
        (root / split).mkdir(exist_ok=True)
        target = root / "annotations" / f"instances_{split}.json"
        target.unlink(missing_ok=True)
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        scenes = _scenes(root / split, count, (seed, split_index), image_size)
        for entry, found in tqdm(scenes, f"drawing {split}", count, disable=not progress):
            images.append(entry)
            for annotation in found:
                annotations.append(
                    {"id": len(annotations) + 1, "image_id": entry["id"], **annotation}
                )
        content = {"info": info, "licenses": [], "categories": categories}
        text = json.dumps({**content, "images": images, "annotations": annotations})
        target.write_text(text, encoding="utf-8")
    return root
