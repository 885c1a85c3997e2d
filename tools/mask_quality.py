"""Show how well masks are scored: ``python tools/mask_quality.py --predictions P --annotations A``.

Compares predicted with true mask IoUs and rankings of the same masks, and writes one HTML page and
one json. ``docs/MASK_QUALITY.md`` explains every figure.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from maskrcnn_benchmark.report.mask_quality import report_mask_quality
from maskrcnn_benchmark.utils.user_error import failures_named, user_errors


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Report the quality of predicted masks.")
    parser.add_argument(
        "--predictions",
        type=Path,
        required=True,
        help="folder of tools/test_net.py, json of tools/predict.py, or COCO results of any system",
    )
    parser.add_argument("--annotations", type=Path, required=True, help="json in COCO's format")
    parser.add_argument("--images", type=Path, help="folder of the images, for pictures of masks")
    parser.add_argument(
        "--output", type=Path, default=Path("output/mask_quality"), help="folder to write"
    )
    parser.add_argument(
        "--evaluator",
        default="pycocotools",
        choices=("pycocotools", "fast"),
        help="fast: faster-coco-eval, the same numbers in less time",
    )
    return parser.parse_args(argv)


@failures_named()
def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    args = parse_arguments(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with user_errors():
        page = report_mask_quality(
            args.predictions,
            args.annotations,
            args.output,
            images=args.images,
            evaluator=args.evaluator,
        )
    print(f"Report: {page}")


if __name__ == "__main__":
    main()
