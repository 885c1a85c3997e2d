"""Time ``tools/compare.py`` on drawn data of COCO's kind: 80 classes, 100 detections per image.

``python benchmarks/comparison.py --images 1000 --resamples 200`` draws annotations and the
detections of two models (boxes, masks, both scores) to files, reads and compares them, and prints
the CPU seconds of each step.
"""

import argparse
import json
import logging
import tempfile
import time
from pathlib import Path

import numpy as np
from synthetic_detections import DrawnDataset, draw_predictions

from maskrcnn_benchmark.evaluation.coco_eval import detection_rows
from maskrcnn_benchmark.report.annotations import read_annotations
from maskrcnn_benchmark.report.comparison import (
    Settings,
    as_text,
    compare_results,
    read_model,
    write_comparison,
)
from maskrcnn_benchmark.structures.mask_paste import Masker


def draw(folder: Path, images: int) -> None:
    """Write annotations and the result files of two models."""
    dataset = DrawnDataset(images, np.random.default_rng(0))
    (folder / "annotations.json").write_text(json.dumps(dataset.coco.dataset), encoding="utf-8")
    for seed, name in enumerate("ab", 1):
        predictions = draw_predictions(dataset, 100, np.random.default_rng(seed))
        rows = detection_rows(dataset, predictions, ("bbox", "segm"), Masker())
        (folder / name).mkdir()
        for task in ("bbox", "segm"):
            (folder / name / f"{task}.json").write_text(json.dumps(rows[task]), encoding="utf-8")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--resamples", type=int, default=200)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw(folder, args.images)
        times = [time.process_time()]
        coco = read_annotations(folder / "annotations.json")
        a, b = (read_model(folder / model, model, coco) for model in "ab")
        times.append(time.process_time())
        comparison = compare_results(a, b, Settings(resamples=args.resamples))
        times.append(time.process_time())
        write_comparison(comparison, folder / "out", images=None)
        times.append(time.process_time())
    print(as_text(comparison))
    for step, seconds in zip(("read", "compare", "write"), np.diff(times), strict=True):
        print(f"{step}: {seconds:.1f} s")


if __name__ == "__main__":
    main()
