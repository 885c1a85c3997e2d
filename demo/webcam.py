"""maskrcnn-benchmark's command: ``python demo/webcam.py --config-file FILE MODEL.WEIGHT path``.

It is equivalent to ``msrcnn predict --input webcam:0 --show``, which has more options.
"""

import argparse
from collections.abc import Sequence

from maskrcnn_benchmark.tools import predict
from maskrcnn_benchmark.utils.user_error import failures_named


@failures_named()
def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Run a model on a camera and show the masks.")
    parser.add_argument("--config-file", metavar="FILE", help="config file of the model")
    parser.add_argument(
        "--confidence-threshold",
        default="0.7",
        metavar="SCORE",
        help="minimum class score (default: 0.7)",
    )
    parser.add_argument(
        "--min-image-size",
        default="224",
        metavar="PIXELS",
        help="short side of the input (default: 224)",
    )
    parser.add_argument(
        "opts",
        nargs=argparse.REMAINDER,
        metavar="KEY VALUE",
        help="config options, including MODEL.WEIGHT path",
    )
    args = parser.parse_args(argv)
    if "MODEL.WEIGHT" not in args.opts[:-1:2]:
        parser.error("the weights are missing: end the command with MODEL.WEIGHT path")
    weights = args.opts[args.opts.index("MODEL.WEIGHT") + 1]
    config = [] if args.config_file is None else ["--config-file", args.config_file]
    chosen = ["--score-key", "score", "--threshold", args.confidence_threshold]
    settings = ["--opts", "INPUT.MIN_SIZE_TEST", args.min_image_size, *args.opts]
    predict.main(
        ["--input", "webcam:0", "--show", "--weights", weights, *config, *chosen, *settings]
    )


if __name__ == "__main__":
    main()
