"""Compare the evaluation of boxes and masks, by both scores, with plain runs of pycocotools.

``python benchmarks/evaluation.py`` draws 5000 images with 100 detections each (masks as RLE) and
evaluates them: boxes, masks by mask score, masks by class score. The sides take turns (A B C A B
C), each in a process of its own. *plain* is three runs of pycocotools' COCOeval; *pycocotools* and
*fast* are ``evaluate_coco`` with that TEST.COCO_EVALUATOR, with the mask quality in addition.
"""

import argparse
import contextlib
import io
import json
import logging
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from pycocotools.cocoeval import COCOeval
from report import commit, peak_memory, write_result
from synthetic_detections import DrawnDataset, draw_predictions

from maskrcnn_benchmark.evaluation import evaluate_coco
from maskrcnn_benchmark.evaluation.coco_eval import detection_rows
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.mask_paste import Masker

BOTH = ("bbox", "segm")
SIDES = ("plain", "pycocotools", "fast")


def plain(dataset: DrawnDataset, predictions: Sequence[BoxList]) -> list[float]:
    """Return the metrics as pycocotools' users compute them."""
    stats: list[float] = []
    with contextlib.redirect_stdout(io.StringIO()):
        for task, rows in detection_rows(dataset, predictions, BOTH, Masker()).items():
            iou_type = "bbox" if task == "bbox" else "segm"
            evaluation = COCOeval(dataset.coco, dataset.coco.loadRes(rows), iou_type)
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
            stats += evaluation.stats[:6].tolist()
    return stats


def ours(dataset: DrawnDataset, predictions: Sequence[BoxList], evaluator: str) -> list[float]:
    """Return the same metrics from ``evaluate_coco``."""
    results = evaluate_coco(dataset, predictions, iou_types=BOTH, evaluator=evaluator).results
    return [value for metrics in results.values() for value in metrics.values()]


def measure(side: str, images: int, detections: int) -> dict[str, Any]:
    """Return seconds, the GB by which the memory grows at its peak, and the metrics."""
    logging.disable()
    rng = np.random.default_rng(0)
    dataset = DrawnDataset(images, rng)
    predictions = draw_predictions(dataset, detections, rng)
    before = peak_memory()
    wall, cpu = time.perf_counter(), time.process_time()
    stats = plain(dataset, predictions) if side == "plain" else ours(dataset, predictions, side)
    return {
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "growth": peak_memory() - before,
        "stats": stats,
    }


def in_own_process(side: str, args: argparse.Namespace) -> dict[str, Any]:
    """Return ``measure`` of a side in a new process."""
    command = [sys.executable, __file__, "--side", side, "--threads", str(args.threads)]
    command += ["--images", str(args.images), "--detections", str(args.detections)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found


def main() -> None:
    """Measure the sides in turns, print a table and save it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--detections", type=int, default=100, help="per image")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=2, help="turns of each side")
    parser.add_argument("--no-file", action="store_true", help="only print the table")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.side:
        print(json.dumps(measure(args.side, args.images, args.detections)))
        return
    began = commit()
    turns = [{side: in_own_process(side, args) for side in SIDES} for _ in range(args.rounds)]
    rows = []
    print("| side | s (CPU s) | growth at the peak, GB | times as fast |\n|---|---|---|---|")
    for side in SIDES:
        difference = np.abs(np.subtract(turns[0][side]["stats"], turns[0]["plain"]["stats"])).max()
        assert difference < 1e-12, f"{side} differs from pycocotools by {difference}"
        row: dict[str, Any] = {"side": side, "images": args.images, "detections": args.detections}
        for key in ("wall", "cpu", "growth"):
            row[key] = round(statistics.median(turn[side][key] for turn in turns), 3)
        rows.append(row)
        row["ratio"] = round(rows[0]["cpu"] / row["cpu"], 2)
        cells = f"{row['wall']:.1f} ({row['cpu']:.1f}) | {row['growth']:.2f} | {row['ratio']:.2f}"
        print(f"| {side} | {cells} |", flush=True)
    if not args.no_file:
        print(f"written: {write_result('evaluation', rows, began)}")


if __name__ == "__main__":
    main()
