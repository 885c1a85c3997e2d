"""See it work: ``make demo``, or ``python tools/quickstart.py [--iterations N]``.

Draws the embedded data set, trains a small Mask Scoring R-CNN on it from random weights, evaluates
it, and writes a report with pictures. Run again after an interruption, it goes on where it was.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from maskrcnn_benchmark.data.datasets.images import read_image
from maskrcnn_benchmark.data.synthetic import write_synthetic_coco
from maskrcnn_benchmark.engine.launch import train
from maskrcnn_benchmark.utils.user_error import failures_named, user_errors
from maskrcnn_benchmark.visualization import (
    Instances,
    contact_sheet,
    draw_instances,
    from_coco_annotations,
    load_detections,
)

ROOT = Path(__file__).resolve().parent.parent
CONFIG = ROOT / "configs" / "demo" / "ms_rcnn_synthetic.yaml"
SPLITS = ("train", "val")
PICTURES = 8
SHOWN_SCORE = 0.5
FOUND = "box IoU > 0.5"  # the group of detections in results.json


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Train and show a small Mask Scoring R-CNN.")
    parser.add_argument("--iterations", type=int, default=1000, help="length of the training")
    parser.add_argument("--num-train", type=int, default=1000, help="pictures to train on")
    parser.add_argument("--num-val", type=int, default=200, help="pictures to test on")
    parser.add_argument("--seed", type=int, default=0, help="of the data and of the training")
    parser.add_argument("--output", type=Path, default=Path("output/demo"), help="folder to write")
    parser.add_argument("opts", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="settings")
    return parser.parse_args(argv)


def prepare_data(folder: Path, num_train: int, num_val: int, seed: int) -> None:
    """Draw the data set, unless the very same one is there already."""
    wanted = {"seed": seed, "train": num_train, "val": num_val}
    marker = folder / "complete.json"
    if marker.is_file() and json.loads(marker.read_text(encoding="utf-8")) == wanted:
        return
    marker.unlink(missing_ok=True)
    print(f"Drawing {num_train} + {num_val} pictures into {folder}", flush=True)
    write_synthetic_coco(
        folder, num_train=num_train, num_val=num_val, seed=seed, progress=sys.stderr.isatty()
    )
    marker.write_text(json.dumps(wanted), encoding="utf-8")


def train_model(args: argparse.Namespace, data: Path) -> None:
    """Train as ``tools/train_net.py`` does, and evaluate; the user's settings go before ours."""
    schedule = {
        "SEED": args.seed,
        "SOLVER.MAX_ITER": args.iterations,
        "SOLVER.STEPS": (int(0.7 * args.iterations), int(0.9 * args.iterations)),
    }
    datasets = {
        f"synthetic_{split}": (data / "annotations" / f"instances_{split}.json", data / split)
        for split in SPLITS
    }
    settings = [part for pair in schedule.items() for part in pair] + args.opts
    train(CONFIG, settings=settings, datasets=datasets, output_dir=args.output)


def draw_pictures(data: Path, detections_folder: Path, output: Path) -> None:
    """Write ground truth beside detections for the first pictures, and all on one sheet."""
    annotation_file = data / "annotations" / "instances_val.json"
    truth = json.loads(annotation_file.read_text(encoding="utf-8"))
    names = {c["id"]: c["name"] for c in truth["categories"]}
    detections = load_detections(detections_folder, names, min_score=SHOWN_SCORE)
    output.mkdir(parents=True, exist_ok=True)
    pairs = []
    for entry in truth["images"][:PICTURES]:
        picture = np.asarray(read_image(data / "val" / entry["file_name"]))
        size = (entry["height"], entry["width"])
        annotations = [a for a in truth["annotations"] if a["image_id"] == entry["id"]]
        found = detections.get(entry["id"], Instances())
        drawn = [
            draw_instances(picture, instances, long_side=960)
            for instances in (from_coco_annotations(annotations, names, size), found)
        ]
        pairs.append(contact_sheet(drawn, ["ground truth", "detections"], columns=2))
        Image.fromarray(pairs[-1]).save(output / entry["file_name"])
    if pairs:
        sheet = contact_sheet(pairs, columns=2, cell_size=(1200, 520))
        Image.fromarray(sheet).save(output / "all.png")


def write_report(folder: Path, evaluation: Path, iterations: int, seed: int) -> Path:
    """Write ``report.md`` from the evaluation's files; returns its path."""
    content = json.loads((evaluation / "results.json").read_text(encoding="utf-8"))
    results = content["results"]
    rows = (
        ("boxes, ranked by class score", "bbox"),
        ("masks, ranked by class score", "segm_by_class_score"),
        ("masks, ranked by mask score", "segm"),
    )
    lines = [f"# Mask Scoring R-CNN on the embedded data, {iterations} iterations, seed {seed}", ""]
    lines += ["| | AP | AP50 | AP75 |", "|---|---|---|---|"]
    for title, task in rows:
        if task in results:
            values = [f"{100 * results[task][m]:.1f}" for m in ("AP", "AP50", "AP75")]
            lines.append(f"| {title} | {' | '.join(values)} |")
    if "segm_by_class_score" in results:
        gain = 100 * (results["segm"]["AP"] - results["segm_by_class_score"]["AP"])
        lines += ["", f"What the mask score brings: **{gain:+.2f} AP**."]
    quality = content["mask_quality"].get(FOUND, {})
    if quality.get("pearson") is not None:
        lines += [
            "",
            f"Correlation with the true mask IoU, over the {quality['count']} detections that found"
            f" an object ({FOUND}): predicted mask IoU {quality['pearson']:.2f}, "
            f"class score {quality['class_score_pearson']:.2f}.",
        ]
    lines += ["", "![ground truth and detections](pictures/all.png)", ""]
    path = folder / "report.md"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@failures_named()
def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    args = parse_arguments(argv)
    began = time.perf_counter()
    data = args.output / "data"
    with user_errors():
        prepare_data(data, args.num_train, args.num_val, args.seed)
    train_model(args, data)
    evaluation = args.output / "inference" / "synthetic_val"
    draw_pictures(data, evaluation, args.output / "pictures")
    report = write_report(args.output, evaluation, args.iterations, args.seed)
    print(f"\n{report.read_text(encoding='utf-8')}")
    print(f"Done in {(time.perf_counter() - began) / 60:.1f} minutes.")
    print(f"Report:   {report}\nPictures: {args.output / 'pictures'}")
    model = args.output / "model_final.pth"
    print(f"Model:    {model}")
    print(
        f"Use it:   .venv/bin/python tools/predict.py --weights {model} --threshold 0.3 "
        f"--input {data / 'val'} --output {args.output / 'predicted'}"
    )
    print(f"Delete {args.output} to start afresh.")


if __name__ == "__main__":
    main()
