"""Check a data set: ``python tools/inspect_data.py ANN_FILE IMG_DIR [--output FOLDER]``.

Prints a summary and all problems, writes a report with histograms and contact sheets, and ends with
exit code 1 if there are errors; warnings do not count.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from maskrcnn_benchmark.data.inspection import inspect_coco, summary, write_report
from maskrcnn_benchmark.utils.user_error import failures_named, user_errors

_PRINTED = 100


@failures_named()
def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Check a data set in COCO format.")
    parser.add_argument("ann_file", type=Path, metavar="ANN_FILE", help="the json")
    parser.add_argument("img_dir", type=Path, metavar="IMG_DIR", help="folder of the images")
    parser.add_argument(
        "--output", type=Path, default=Path("output/inspection"), help="folder of the report"
    )
    args = parser.parse_args(argv)
    # names of any script, also where the terminal is said to know ASCII alone
    sys.stdout.reconfigure(errors="backslashreplace")
    with user_errors():
        inspection = inspect_coco(args.ann_file, args.img_dir)
        report = write_report(inspection, args.img_dir, args.output, title=args.ann_file.name)
    for problem in inspection.problems[:_PRINTED]:
        print(f"{problem.severity}: {problem.text}")
    if len(inspection.problems) > _PRINTED:
        print(f"and {len(inspection.problems) - _PRINTED} more, all of them in problems.csv")
    print(f"\n{summary(inspection)}\n\nReport: {report}")
    sys.exit(1 if inspection.num_errors else 0)


if __name__ == "__main__":
    main()
