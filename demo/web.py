"""A web page to try a model: ``python demo/web.py --weights output/demo/model_final.pth``.

It shows the instances of an image with class score, predicted mask IoU and mask score, see
docs/WEB.md. Only this machine can open it.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from maskrcnn_benchmark.data.synthetic import sample_scene
from maskrcnn_benchmark.engine.launch.predictor_arguments import (
    add_predictor_arguments,
    load_predictor,
)
from maskrcnn_benchmark.predict.media import find_media, is_video
from maskrcnn_benchmark.utils.user_error import failures_named, user_errors

_MOST_EXAMPLES = 12


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Serve a web page to try a model.")
    add_predictor_arguments(parser)
    parser.add_argument(
        "--examples",
        nargs="+",
        default=[],
        metavar="INPUT",
        help=f"images, folders, quoted patterns: the first {_MOST_EXAMPLES} are offered on the "
        "page; default: drawn images",
    )
    parser.add_argument("--port", type=int, help="default: the first free one from 7860 on")
    return parser.parse_args(argv)


def find_examples(inputs: Sequence[str], scratch: Path) -> list[Path]:
    """Return the images to offer; without inputs, images drawn into the folder ``scratch``."""
    if inputs:
        files = find_media(inputs, outside=scratch).files
        return [path for path in files if not is_video(path)][:_MOST_EXAMPLES]
    random = np.random.default_rng(1)
    paths = [scratch / f"drawn_{index}.png" for index in (1, 2, 3)]
    for path in paths:
        Image.fromarray(sample_scene(random, (270, 360)).image).save(path)
    return paths


@failures_named()
def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line; Ctrl-C ends it."""
    args = parse_arguments(argv)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    with TemporaryDirectory(prefix="mask_scores_") as scratch, user_errors():
        from maskrcnn_benchmark.predict.web.page import make_page, serve  # needs gradio

        predictor = load_predictor(args)
        examples = find_examples(args.examples, Path(scratch))
        page = make_page(predictor, Path(args.weights).name, examples)
        serve(page, args.port)


if __name__ == "__main__":
    main()
