"""Print a Markdown table of finished runs: ``python benchmarks/summary.py RUN_FOLDER ...``.

A run folder is the OUTPUT_DIR of ``tools/train_net.py`` or of the demo.
"""

import json
import statistics
import sys
from pathlib import Path

COLUMNS = (
    "box AP",
    "mask AP by class score",
    "mask AP by mask score",
    "difference",
    "correlation with the true mask IoU: predicted",
    "class score",
    "seconds per step",
)
_FOUND = "box IoU > 0.5"  # group of detections in results.json


def row(folder: Path) -> list[float]:
    """Return the values of ``COLUMNS`` for a run.

    Raises:
        FileNotFoundError: the run has not been evaluated.
    """
    evaluations = sorted(folder.glob("inference/*/results.json"))
    if not evaluations:
        raise FileNotFoundError(f"{folder} has no inference/*/results.json")
    content = json.loads(evaluations[0].read_text(encoding="utf-8"))
    results, quality = content["results"], content["mask_quality"][_FOUND]
    box, mask = 100 * results["bbox"]["AP"], 100 * results["segm"]["AP"]
    by_class = 100 * results["segm_by_class_score"]["AP"]
    lines = [
        json.loads(line)
        for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    seconds = statistics.median(line["time"] for line in lines)
    correlations = [quality[name] or float("nan") for name in ("pearson", "class_score_pearson")]
    return [box, by_class, mask, mask - by_class, *correlations, seconds]


def table(folders: list[Path]) -> str:
    """Return a Markdown table of several runs and their mean."""
    rows = {str(folder): row(folder) for folder in folders}
    if len(rows) > 1:
        rows["mean"] = [statistics.fmean(column) for column in zip(*rows.values(), strict=True)]
    lines = [f"| run | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 1) + "|"]
    lines += [
        f"| {name} | {' | '.join(f'{v:.2f}' for v in values)} |" for name, values in rows.items()
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    print(table([Path(argument) for argument in sys.argv[1:]]))
