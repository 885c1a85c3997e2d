"""Compare two models: ``python tools/compare.py RESULT_A RESULT_B --annotations FILE``.

AP differences by class and size with bootstrap intervals over the images, and the objects that one
of the two finds better, as HTML and JSON. ``docs/COMPARE.md`` explains the figures.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from maskrcnn_benchmark.report.comparison import Settings, as_text, report_comparison
from maskrcnn_benchmark.utils.user_error import failures_named, user_errors


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Compare two models on the same data set.")
    parser.add_argument(
        "results",
        nargs=2,
        type=Path,
        metavar="RESULT",
        help="folder of tools/test_net.py, json of tools/predict.py, or COCO results of any system",
    )
    parser.add_argument("--annotations", type=Path, required=True, help="json in COCO's format")
    parser.add_argument("--images", type=Path, help="folder of the images, for pictures of objects")
    parser.add_argument("--output", type=Path, default=Path("output/comparison"), help="folder")
    parser.add_argument("--names", nargs=2, metavar="NAME", help="of both models (from the paths)")
    parser.add_argument("--resamples", type=int, default=1000, help="of the images (1000)")
    parser.add_argument("--seed", type=int, default=0, help="of the resamples (0)")
    parser.add_argument(
        "--min-score",
        type=float,
        default=0.5,
        help="class score of a detection that finds an object, for the pictures (0.5)",
    )
    parser.add_argument(
        "--pictures", type=int, default=12, help="objects to show for each model (12)"
    )
    return parser.parse_args(argv)


@failures_named()
def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    args = parse_arguments(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with user_errors():
        comparison, page = report_comparison(
            args.results,
            args.annotations,
            args.output,
            images=args.images,
            names=args.names,
            settings=Settings(args.resamples, args.seed, args.min_score, args.pictures),
        )
    print(f"\n{as_text(comparison)}\n\nReport: {page}")


if __name__ == "__main__":
    main()
