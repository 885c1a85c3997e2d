"""Compare the data pipeline with torchvision's reference, interleaved in one process (A B A B ...).

``python benchmarks/data_pipeline.py [--rounds 10] [--output FILE]`` writes random JPEGs of 640x480
with seven polygons each to a temporary folder. Both sides decode, resize to a short side of 800,
flip, normalize and batch two images, with their boxes, labels and masks. The reference is that of
torchvision's detection training with transforms v2: images decoded by Pillow, masks as bitmaps,
resizing, normalization and batching by ``GeneralizedRCNNTransform``. One process, one thread.
"""

import argparse
import json
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from PIL import Image
from torchvision.datasets import CocoDetection, wrap_dataset_for_transforms_v2
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.transforms import v2

from maskrcnn_benchmark.config import cfg
from maskrcnn_benchmark.data.collate_batch import BatchCollator
from maskrcnn_benchmark.data.datasets import COCODataset
from maskrcnn_benchmark.data.transforms import build_transforms

SIZE = (640, 480)  # width and height
NUM_IMAGES, NUM_INSTANCES, NUM_VERTICES = 32, 7, 24
BATCH = 2


def write_data(folder: Path) -> None:
    """Write the images, which have large and small structures like photographs, and their json."""
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for number in range(1, NUM_IMAGES + 1):
        coarse = rng.integers(256, size=(SIZE[1] // 16, SIZE[0] // 16, 3), dtype=np.uint8)
        pixels = np.asarray(Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC))
        noisy = (pixels + rng.normal(0, 6, pixels.shape)).clip(0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / f"{number}.jpg", quality=90)
        images.append({"id": number, "file_name": f"{number}.jpg", "width": 640, "height": 480})
        for _ in range(NUM_INSTANCES):
            (x, y), side = rng.uniform(0, 300, 2).round(1), round(rng.uniform(20, 170), 1)
            angles = np.sort(rng.uniform(0, 2 * np.pi, NUM_VERTICES))
            vertices = [x, y] + side / 2 * (1 + np.stack([np.cos(angles), np.sin(angles)], axis=1))
            entry: dict[str, Any] = {"id": len(annotations) + 1, "image_id": number, "iscrowd": 0}
            entry |= {"category_id": 1, "bbox": [x, y, side, side], "area": side**2 / 2}
            annotations.append(entry | {"segmentation": [vertices.ravel().round(2).tolist()]})
    content = {"images": images, "annotations": annotations}
    content["categories"] = [{"id": 1, "name": "thing"}]
    (folder / "train.json").write_text(json.dumps(content), encoding="utf-8")


def build_ours(folder: Path) -> Callable[[list[int]], Any]:
    """Return a function from indices to a batch of this project."""
    dataset = COCODataset(folder / "train.json", folder, transforms=build_transforms(cfg, True))
    collate = BatchCollator(cfg.DATALOADER.SIZE_DIVISIBILITY)
    return lambda indices: collate([dataset[index] for index in indices])


def build_reference(folder: Path) -> Callable[[list[int]], Any]:
    """Return a function from indices to a batch of torchvision's detection training."""
    augment = v2.Compose(
        [
            v2.RandomHorizontalFlip(0.5),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.ConvertBoundingBoxFormat("XYXY"),
            v2.SanitizeBoundingBoxes(),
            v2.ToPureTensor(),
        ]
    )
    dataset = wrap_dataset_for_transforms_v2(
        CocoDetection(str(folder), str(folder / "train.json"), transforms=augment),
        target_keys=["boxes", "labels", "masks"],
    )
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    resize = GeneralizedRCNNTransform(800, 1333, mean, std)

    def load(indices: list[int]) -> Any:
        images, targets = zip(*(dataset[index] for index in indices), strict=True)
        return resize(list(images), list(targets))

    return load


def measure(sides: dict[str, Callable[[list[int]], Any]], rounds: int) -> dict[str, list[float]]:
    """Return images per second of CPU time of each side, once for each round over all images."""
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, load in sides.items():
            began = time.process_time()
            for first in range(0, NUM_IMAGES, BATCH):
                load(list(range(first, first + BATCH)))
            if number:  # the first round warms up
                rates[name].append(NUM_IMAGES / (time.process_time() - began))
    return rates


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--output", type=Path, help="json to write")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        write_data(Path(folder))
        sides = {"ours": build_ours(Path(folder)), "torchvision": build_reference(Path(folder))}
        rates = measure(sides, args.rounds)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    print("| pipeline | images per second and core, median | best |\n|---|---|---|")
    for name, values in rates.items():
        print(f"| {name} | {medians[name]:.1f} | {max(values):.1f} |")
    ratio = medians["ours"] / medians["torchvision"]
    print(f"\nratio {ratio:.2f}")
    if args.output:
        commit = ["git", "rev-parse", "--short", "HEAD"]
        about = {
            "command": "OMP_NUM_THREADS=1 python benchmarks/data_pipeline.py",
            "commit": subprocess.run(commit, capture_output=True, text=True).stdout.strip(),
            "date": f"{date.today()}",
            "machine": f"{platform.machine()}, one thread",
            "versions": {"torch": torch.__version__, "torchvision": torchvision.__version__},
        }
        result = about | {"images_per_second": rates, "ratio_of_medians": ratio}
        args.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
