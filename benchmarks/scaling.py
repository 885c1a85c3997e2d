"""Draw how time and memory grow with image size, objects, detections, batch and threads.

``python benchmarks/scaling.py`` measures Mask Scoring R-CNN with a ResNet-50-FPN and random weights
on the CPU, each point in a process of its own, and writes ``benchmarks/results/DATE-scaling.json``
and ``.png``. The memory is the peak of the process beyond its size after the imports. Inference
ends with COCO RLE. What a curve does not vary is one image of 800 x 1216, 100 detections, 10
objects, the threads given.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from model_sides import THIN, Ours, draw_image
from report import commit, peak_memory, write_result

from maskrcnn_benchmark.evaluation.original_frame import to_original_frame
from maskrcnn_benchmark.structures.image_list import to_image_list

# curve -> what runs, the values, and the label of the axis
CURVES: dict[str, tuple[str, Sequence[int], str]] = {
    "size": ("inference", (400, 600, 800, 1000, 1200, 1400, 1600), "shorter side of the image"),
    "objects": ("training", (1, 10, 50, 100, 200, 500), "objects in a training step"),
    "detections": ("inference", (1, 10, 100, 300, 1000), "detections in the image"),
    "batch": ("inference", (1, 2, 4, 8), "images in a batch"),
    "threads": ("inference", (1, 2), "threads, inference"),
    "training_threads": ("training", (1, 2), "threads, training step"),
}
RATIO, STEP = 1.52, 32  # of the sides, as 800 x 1216; sides are multiples of 32


def make_task(work: str, curve: str, value: int, *, thin: bool) -> Callable[[], Any]:
    """Return what a point of a curve runs: a call returns the detections of each image, or losses.

    Args:
        work: ``inference`` or ``training``.
        curve: name of the curve.
        value: what the curve varies.
        thin: whether the body has half the width.
    """
    side = value if curve == "size" else 800
    size = (round(side * RATIO / STEP) * STEP, side)
    settings: list[Any] = [*THIN] if thin else []
    if curve == "detections":  # as many candidates as are asked for
        settings += ["MODEL.ROI_HEADS.SCORE_THRESH", 0.005]
        settings += ["MODEL.ROI_HEADS.DETECTIONS_PER_IMG", value]
    model = Ours(size=size, settings=settings)
    if work == "training":
        return model.step(value if curve == "objects" else 10)
    count = value if curve == "batch" else 1
    batch = to_image_list([100 * draw_image(size)] * count, STEP)
    model.model.eval()

    def infer() -> list[Any]:
        with torch.no_grad():
            found = model.model(batch)
            return [to_original_frame(one, size, model.masker) for one in found]

    return infer


def measure(curve: str, value: int, args: argparse.Namespace) -> dict[str, Any]:
    """Return the row of a point, measured in this process: the first call warms up."""
    work = CURVES[curve][0]
    threads = value if "threads" in curve else args.threads
    torch.set_num_threads(threads)
    before = peak_memory()
    task = make_task(work, curve, value, thin=args.thin)
    found = task()
    seconds = []
    for _ in range(args.rounds):
        began = time.perf_counter()
        task()
        seconds.append(time.perf_counter() - began)
    row = {"curve": curve, "work": work, "value": value, "threads": threads}
    if work == "inference":
        row["detections"] = len(found[0])
    peak = peak_memory() - before
    return row | {"seconds": round(statistics.median(seconds), 3), "peak_gb": round(peak, 3)}


def in_own_process(curve: str, value: int, args: argparse.Namespace) -> dict[str, Any]:
    """Return ``measure`` of a point in a new process."""
    command = [sys.executable, __file__, "--point", curve, str(value)]
    command += ["--threads", str(args.threads), "--rounds", str(args.rounds)]
    command += ["--thin"] if args.thin else []
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    row: dict[str, Any] = json.loads(output.splitlines()[-1])
    return row


def draw(rows: list[dict[str, Any]], path: Path, title: str) -> None:
    """Write the curves as a picture: seconds on the left axis, memory on the right one."""
    curves = list(dict.fromkeys(row["curve"] for row in rows))
    columns = min(3, len(curves))
    lines = -(-len(curves) // columns)
    figure = Figure(figsize=(4.4 * columns, 3.2 * lines), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False)
    for axis, curve in zip(axes.flat, curves, strict=False):
        points = [row for row in rows if row["curve"] == curve]
        values = [row["value"] for row in points]
        axis.set_xlabel(CURVES[curve][2])
        for side, key, style, label in (
            (axis, "seconds", "o-C0", "seconds"),
            (axis.twinx(), "peak_gb", "s--C1", "peak memory, GB"),
        ):
            heights = [row[key] for row in points]
            side.plot(values, heights, style)
            side.set_ylim(0, 1.1 * max(heights))
            side.set_ylabel(label, color=style[-2:])
        if len(values) < 3:
            axis.set_xticks(values)
    for axis in axes.flat[len(curves) :]:
        axis.set_visible(False)
    figure.suptitle(title, fontsize=9)
    figure.savefig(path, dpi=90)


def main() -> None:
    """Measure the points, print a table, and save it with the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--thin", action="store_true", help="a body of half the width")
    parser.add_argument("--only", choices=CURVES, nargs="+", help="these curves only")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1, help="calls of a point, after the first")
    parser.add_argument("--point", nargs=2, metavar=("CURVE", "VALUE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.point:
        print(json.dumps(measure(args.point[0], int(args.point[1]), args)))
        return
    torch.set_num_threads(args.threads)
    rows, began = [], commit()
    print("| curve | value | seconds | peak memory, GB | detections |\n|---|---|---|---|---|")
    for curve in args.only or CURVES:
        for value in CURVES[curve][1]:
            row = in_own_process(curve, value, args)
            rows.append(row)
            cells = f"{row['seconds']:.2f} | {row['peak_gb']:.2f} | {row.get('detections', '')}"
            print(f"| {CURVES[curve][2]} | {value} | {cells} |", flush=True)
    path = write_result("scaling", rows, began)
    stated = json.loads(path.read_text(encoding="utf-8"))
    where = f"{stated['machine']}, torch {stated['torch']}"
    title = f"{stated['command']}\ncommit {stated['commit']}, {stated['date']}, {where}"
    draw(rows, path.with_suffix(".png"), title)
    print(f"written: {path} and .png")


if __name__ == "__main__":
    main()
