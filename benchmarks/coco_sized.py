"""Measure memory and startup time of a COCO-sized data set, also for CocoDetection.

``python benchmarks/coco_sized.py FOLDER`` writes a random JSON of 118287 images and 860001
instances, and two image files, to FOLDER, measures each case in a separate process and prints a
table. The first start of ``COCODataset`` writes the cache that its second start reads.
CocoDetection is that of torchvision. Linux only: memory is read from ``/proc/*/smaps_rollup``.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from report import peak_memory
from torch.utils.data import DataLoader
from torchvision.datasets import CocoDetection

from maskrcnn_benchmark.data.coco_json.cache import CACHE_VARIABLE
from maskrcnn_benchmark.data.datasets import COCODataset

SIZES = {"landscape.jpg": (640, 480), "portrait.jpg": (480, 640)}
KINDS = ("COCODataset", "COCODataset, cached", "CocoDetection")
WORKERS = (0, 2, 4)
MIB = 2**20


def write_data(folder: Path, num_images: int, num_instances: int) -> None:
    """Write ``annotations.json`` and the two image files that all its entries refer to."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for name, (width, height) in SIZES.items():
        pixels = rng.integers(256, size=(height // 8, width // 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((width, height)).save(folder / name)
    names = list(SIZES)
    images = []
    for number in range(num_images):
        name = names[number % 2]
        width, height = SIZES[name]
        images.append({"id": number, "file_name": name, "width": width, "height": height})
    categories = [{"id": i, "name": f"class {i}"} for i in range(1, 81)]
    path = folder / "annotations.json"
    with path.with_suffix(".tmp").open("w", encoding="utf-8") as file:
        head = json.dumps({"info": {}, "images": images, "categories": categories})
        file.write(f'{head[:-1]}, "annotations": [')
        for number in range(num_instances):
            file.write(", " if number else "")
            file.write(json.dumps(draw_annotation(rng, number, num_images)))
        file.write("]}")
    path.with_suffix(".tmp").replace(path)


def draw_annotation(rng: np.random.Generator, number: int, num_images: int) -> dict[str, Any]:
    """Return a random instance with a polygon of 8 to 40 vertices; 1 % are crowds."""
    corner, side = rng.uniform(0, 300, 2), rng.uniform(10, 150)
    points = (corner + side * rng.random((rng.integers(8, 41), 2))).round(2)
    annotation: dict[str, Any] = {
        "id": number + 1,
        "image_id": int(rng.integers(num_images)),
        "category_id": int(rng.integers(1, 81)),
        "bbox": [*corner.round(2).tolist(), round(side, 2), round(side, 2)],
        "area": round(side**2 / 2, 2),
        "iscrowd": int(number % 100 == 0),
        "segmentation": [points.ravel().tolist()],
    }
    if annotation["iscrowd"]:
        width, height = list(SIZES.values())[annotation["image_id"] % 2]
        counts = [1000, 500, width * height - 1500]
        annotation["segmentation"] = {"size": [height, width], "counts": counts}
    return annotation


def memory(pid: int | str = "self") -> dict[str, float]:
    """Return the memory of a process in MiB: ``pss`` is proportional, ``uss`` is private memory."""
    fields = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()[1:]:
        name, value = line.split(":")
        fields[name] = int(value.split()[0]) / 1024
    return {"pss": fields["Pss"], "uss": fields["Private_Clean"] + fields["Private_Dirty"]}


def measure(kind: str, folder: Path, workers: int, batches: int) -> dict[str, float]:
    """Build the data set and iterate over ``batches`` batches of two samples.

    Returns:
        Wall-clock and CPU seconds until the data set is built, and seconds from then to the first
        batch; MiB of the main process at its peak and afterwards, and of a worker and of all
        processes at the end.
    """
    torch.set_num_threads(1)
    os.environ[CACHE_VARIABLE] = str(folder / "cache")
    if kind == "COCODataset":
        shutil.rmtree(folder / "cache", ignore_errors=True)
    before, began, before_cpu = memory(), time.perf_counter(), time.process_time()
    make = CocoDetection if kind == "CocoDetection" else COCODataset
    arguments = {"root": folder} | {
        ("annFile" if make is CocoDetection else "ann_file"): str(folder / "annotations.json")
    }
    dataset: Any = make(**arguments)
    built, processor = time.perf_counter(), time.process_time() - before_cpu
    generator = torch.Generator().manual_seed(0)
    loader = DataLoader(
        dataset, 2, shuffle=True, num_workers=workers, collate_fn=list, generator=generator
    )
    main = memory()["uss"] - before["uss"]
    peak = peak_memory() * 1024
    iterator = iter(loader)
    next(iterator)
    first = time.perf_counter()
    for _ in range(batches - 1):
        next(iterator)
    own = [memory(worker.pid) for worker in getattr(iterator, "_workers", [])]
    total = memory()["pss"] + sum(worker["pss"] for worker in own)
    return {
        "start": built - began,
        "start_cpu": processor,
        "first": first - built,
        "peak": peak,
        "main": main,
        "worker_uss": sum(worker["uss"] for worker in own) / max(len(own), 1),
        "total_pss": total,
    }


def table(results: list[tuple[str, int, dict[str, float]]]) -> str:
    """Return the results as Markdown."""
    lines = [
        "| data set | workers | built after (s) | CPU time (s) | then first batch (s) "
        "| peak while building (MiB) | growth of the main process (MiB) "
        "| private memory of a worker (MiB) | all processes (MiB) |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for kind, workers, r in results:
        worker = f"{r['worker_uss']:.0f}" if workers else "-"
        lines.append(
            f"| {kind} | {workers} | {r['start']:.1f} | {r['start_cpu']:.1f} | {r['first']:.2f} "
            f"| {r['peak']:.0f} | {r['main']:.0f} | {worker} | {r['total_pss']:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder for random data and cache, about 1 GB")
    parser.add_argument("--images", type=int, default=118287)
    parser.add_argument("--instances", type=int, default=860001)
    parser.add_argument("--batches", type=int, default=1000, help="batches of two images per case")
    parser.add_argument("--case", nargs=2, metavar=("KIND", "WORKERS"), help="only this case")
    args = parser.parse_args()
    if args.case:
        result = measure(args.case[0], args.folder, int(args.case[1]), args.batches)
        print(json.dumps(result))
        return
    if not (args.folder / "annotations.json").is_file():
        write_data(args.folder, args.images, args.instances)
    size = (args.folder / "annotations.json").stat().st_size / MIB
    results = []
    for kind in KINDS:
        for workers in WORKERS:
            command = [sys.executable, __file__, str(args.folder), "--case", kind, str(workers)]
            command += ["--batches", str(args.batches)]
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            results.append((kind, workers, json.loads(output.splitlines()[-1])))
    print(f"{size:.0f} MiB of JSON, {args.batches} batches of two images\n\n{table(results)}")


if __name__ == "__main__":
    main()
