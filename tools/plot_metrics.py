"""Draw the curves of runs: ``python tools/plot_metrics.py OUTPUT_DIR [OUTPUT_DIR ...]``."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from maskrcnn_benchmark.utils.user_error import failures_named, user_errors
from maskrcnn_benchmark.visualization.curves import DEFAULT_KEYS, plot_runs


@failures_named()
def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Losses, learning rate and AP of training runs.")
    parser.add_argument("folders", nargs="+", type=Path, metavar="OUTPUT_DIR", help="of each run")
    parser.add_argument(
        "--output",
        type=Path,
        help="picture to write: png, pdf or svg (metrics.png of the first run)",
    )
    parser.add_argument(
        "--keys",
        metavar="REGEX",
        default=DEFAULT_KEYS,
        help="figures to draw, such as 'loss|time|segm_AP.*'",
    )
    args = parser.parse_args(argv)
    output = args.output or args.folders[0] / "metrics.png"
    with user_errors():
        plot_runs(args.folders, output, keys=args.keys)
    print(f"Written: {output}")


if __name__ == "__main__":
    main()
