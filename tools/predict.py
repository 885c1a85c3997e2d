"""Predict on images and videos: pictures with both scores, and a COCO json with all three.

``python tools/predict.py --weights output/demo/model_final.pth --input photos --output found``
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from maskrcnn_benchmark.engine.launch.arguments import positive
from maskrcnn_benchmark.engine.launch.prediction import (
    PredictionRun,
    find_files,
    predict_cameras,
    predict_files,
)
from maskrcnn_benchmark.engine.launch.predictor_arguments import (
    add_predictor_arguments,
    load_predictor,
)
from maskrcnn_benchmark.predict.window import Window
from maskrcnn_benchmark.structures.fields import SCORE_KINDS
from maskrcnn_benchmark.utils.user_error import failures_named, user_errors


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Predict on images and videos.")
    add_predictor_arguments(parser)
    parser.add_argument(
        "--input",
        required=True,
        nargs="+",
        metavar="INPUT",
        help="images, videos, folders, quoted patterns; or webcam:0, until Ctrl-C",
    )
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="to write to")
    parser.add_argument(
        "--show",
        action="store_true",
        help="show camera and videos in a window, with the frames per second; q or Esc ends it",
    )
    parser.add_argument(
        "--score-key",
        choices=tuple(SCORE_KINDS),
        help="what --threshold applies to; default: mask_score, of a model without it score",
    )
    parser.add_argument(
        "--threshold", type=float, default=0.5, help="least score of a detection (0.5)"
    )
    parser.add_argument("--format", choices=("png", "json", "both"), default="both")
    parser.add_argument("--batch-size", type=positive, default=1, metavar="N", help="at once (1)")
    args = parser.parse_args(argv)
    if args.output is None and not args.show:
        parser.error("say what to do with the pictures: --output FOLDER, --show, or both")
    return args


@failures_named()
def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    args = parse_arguments(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with user_errors():
        files = find_files(args.input, args.output)
        predictor = load_predictor(args)
        run = PredictionRun(
            predictor,
            args.score_key,
            args.threshold,
            args.batch_size,
            pictures=args.output is not None and args.format != "json",
            json=args.output is not None and args.format != "png",
            window=Window() if args.show else None,
        )
    predict_files(run, files, args.output)
    predict_cameras(run, args.input, args.output)
    written = "" if args.output is None else f", in {args.output}"
    print(f"{run.detections} detections in {run.images} images{written}")
    if run.broken:
        sys.exit(f"{len(run.broken)} inputs could not be read")


if __name__ == "__main__":
    main()
