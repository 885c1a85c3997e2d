"""Find annotations that are probably wrong, or the images to label next.

``python tools/review_labels.py --weights W --annotations train.json --images photos --output out``
compares the annotations with the model's predictions. Without ``--annotations`` it orders unlabeled
images by doubt, and writes the predictions as annotations to start from.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from maskrcnn_benchmark.engine.launch.arguments import positive
from maskrcnn_benchmark.engine.launch.label_review import order_unlabeled, review_annotated
from maskrcnn_benchmark.engine.launch.predictor_arguments import (
    add_predictor_arguments,
    load_predictor,
)
from maskrcnn_benchmark.structures.fields import CLASS_SCORE, MASK_SCORE
from maskrcnn_benchmark.utils.user_error import failures_named, user_errors


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Find annotations that are probably wrong, or the images to label next."
    )
    source = parser.add_mutually_exclusive_group(required=True)
    add_predictor_arguments(parser, source)
    source.add_argument(
        "--predictions",
        type=Path,
        metavar="PATH",
        help="in place of a model: the json of tools/predict.py; with --annotations also a folder "
        "of tools/test_net.py, or COCO results",
    )
    parser.add_argument(
        "--annotations", type=Path, metavar="FILE", help="the json; without it, unlabeled images"
    )
    parser.add_argument(
        "--images", type=Path, required=True, metavar="FOLDER", help="folder of the images"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="to write to")
    parser.add_argument(
        "--by",
        choices=(MASK_SCORE.key, CLASS_SCORE.key),
        default=MASK_SCORE.key,
        help="what makes a prediction credible (mask_score)",
    )
    parser.add_argument(
        "--threshold",
        type=float,
        default=0.5,
        help="least score of a prediction on an unlabeled image that becomes an annotation (0.5)",
    )
    parser.add_argument(
        "--top", type=positive, default=100, metavar="N", help="shown on the page (100)"
    )
    parser.add_argument("--batch-size", type=positive, default=1, metavar="N", help="at once (1)")
    return parser.parse_args(argv)


@failures_named()
def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    args = parse_arguments(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with user_errors():
        source = args.predictions
        if source is None:
            source = load_predictor(args)
        options = {"top": args.top, "batch_size": args.batch_size}
        if args.annotations is None:
            options["threshold"] = args.threshold
            said = order_unlabeled(source, args.images, args.output, **options)
        else:
            options["by"] = args.by
            said = review_annotated(source, args.annotations, args.images, args.output, **options)
    print(said)


if __name__ == "__main__":
    main()
