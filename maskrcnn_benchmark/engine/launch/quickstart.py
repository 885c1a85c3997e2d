"""A small Mask Scoring R-CNN on the drawn data set, from the data to a report."""

import json
import logging
import sys
from pathlib import Path

from maskrcnn_benchmark.data.synthetic import write_synthetic_coco
from maskrcnn_benchmark.engine.launch.demo_report import draw_pictures, write_report
from maskrcnn_benchmark.engine.launch.run_config import Settings, setting_list
from maskrcnn_benchmark.engine.launch.start import LOGGER
from maskrcnn_benchmark.engine.launch.training import train
from maskrcnn_benchmark.utils.user_error import user_errors

CONFIG = "demo/ms_rcnn_synthetic"
SPLITS = ("train", "val")


def demo(
    output_dir: str | Path,
    *,
    iterations: int = 1000,
    num_train: int = 1000,
    num_val: int = 200,
    seed: int = 0,
    settings: Settings = (),
) -> Path:
    """Draw the data set, train on it from random weights, evaluate, and write a report.

    The same as ``tools/quickstart.py``. Called again after an interruption, it goes on where it
    was.

    Args:
        output_dir: receives ``data/``, the files of a training, ``pictures/`` and ``report.md``;
            ``inference/synthetic_val/mask_quality`` holds the report on the quality of the masks.
        iterations: length of the training.
        num_train: images to train on.
        num_val: images to test on.
        seed: of the data and of the training.
        settings: as in ``train``; go before those of the demo.

    Returns:
        The path of the report.

    Raises:
        UserError: a ValueError; the folder cannot be written to, or a setting is wrong.
    """
    output = Path(output_dir)
    data = output / "data"
    with user_errors():
        prepare_data(data, num_train, num_val, seed)
    schedule = {
        "SEED": seed,
        "SOLVER.MAX_ITER": iterations,
        "SOLVER.STEPS": (int(0.7 * iterations), int(0.9 * iterations)),
        "TEST.MASK_QUALITY": True,
    }
    datasets = {
        f"synthetic_{split}": (data / "annotations" / f"instances_{split}.json", data / split)
        for split in SPLITS
    }
    pairs = setting_list(schedule) + setting_list(settings)
    train(CONFIG, settings=pairs, datasets=datasets, output_dir=output)
    evaluation = output / "inference" / f"synthetic_{SPLITS[-1]}"
    draw_pictures(data, evaluation, output / "pictures")
    title = f"Mask Scoring R-CNN on the embedded data, {iterations} iterations, seed {seed}"
    return write_report(output, evaluation, title)


def prepare_data(folder: Path, num_train: int, num_val: int, seed: int) -> None:
    """Draw the data set, unless the very same one is there already."""
    wanted = {"seed": seed, "train": num_train, "val": num_val}
    marker = folder / "complete.json"
    if marker.is_file() and json.loads(marker.read_text(encoding="utf-8")) == wanted:
        return
    marker.unlink(missing_ok=True)
    logging.getLogger(LOGGER).info(f"Drawing {num_train} + {num_val} images into {folder}")
    write_synthetic_coco(
        folder, num_train=num_train, num_val=num_val, seed=seed, progress=sys.stderr.isatty()
    )
    marker.write_text(json.dumps(wanted), encoding="utf-8")
