"""See it work: ``make demo``, or ``python tools/quickstart.py [--iterations N]``.

Draws the embedded data set, trains a small Mask Scoring R-CNN on it from random weights, evaluates
it, and writes a report with pictures and a page on the quality of the masks. Run again after an
interruption, it goes on where it was.
"""

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from maskrcnn_benchmark.engine.launch import demo
from maskrcnn_benchmark.utils.user_error import failures_named


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


def describe(output: Path, report: Path) -> str:
    """Return what was written and what to do next, in a few lines."""
    model = output / "model_final.pth"
    return "\n".join(
        [
            f"Report:   {report}\nPictures: {output / 'pictures'}\nModel:    {model}",
            f"Use it:   {sys.executable} -m maskrcnn_benchmark.cli predict --weights {model} "
            f"--threshold 0.3 --input {output / 'data' / 'val'} --output {output / 'predicted'}",
            f"Delete {output} to start afresh.",
        ]
    )


@failures_named()
def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    args = parse_arguments(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    began = time.perf_counter()
    report = demo(
        args.output,
        iterations=args.iterations,
        num_train=args.num_train,
        num_val=args.num_val,
        seed=args.seed,
        settings=args.opts,
    )
    print(f"\n{report.read_text(encoding='utf-8')}")
    print(f"Done in {(time.perf_counter() - began) / 60:.1f} minutes.")
    print(describe(args.output, report))


if __name__ == "__main__":
    main()
