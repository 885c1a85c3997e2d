"""How well reviews find injected label errors: ``benchmarks/label_review.py RUN [ERRORS ...]``.

``RUN`` is the output of ``label_review.sh``: its predictions are compared with the labels in it,
or, if given, with those in each of the folders ``ERRORS``, in which ``label_errors.py`` put other
errors into the same images. Printed is a Markdown table, of the means over the folders, with a row
for each way to rank what is suspicious:

- the review by mask score, and by class score
- cleanlab's three box scores on the same predictions, their largest counting

**Precision** is the share of errors among the first 50; what points at an error that was found
already is skipped. **AUC**: the probability that an error is ranked above what is right, by kind
and over all. An error has the suspicion of its annotation, or, where an annotation was removed,
that of the predictions whose mask has an IoU of at least 0.5 with it, if larger. What is right is
every other annotation and, unless the kind changes annotations only, every other prediction.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from cleanlab_scores import cleanlab_suspicions
from label_errors import KINDS, LabelError
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from maskrcnn_benchmark.evaluation.matched_masks import DetectedMasks
from maskrcnn_benchmark.report.annotations import read_annotations
from maskrcnn_benchmark.report.detections import read_detections
from maskrcnn_benchmark.review.findings import review_labels
from maskrcnn_benchmark.structures.fields import CLASS_SCORE, MASK_SCORE
from maskrcnn_benchmark.structures.rle import to_rle
from maskrcnn_benchmark.utils.user_error import failures_named

Floats = NDArray[np.float64]

FIRST = 50
SAME_OBJECT = 0.5  # mask IoU of a prediction and the object that it finds
NO_ERROR = -1


@dataclass(frozen=True)
class Suspicions:
    """How suspicious one way of reviewing finds each annotation ``[A]`` and prediction ``[P]``."""

    annotations: Floats
    predictions: Floats


@dataclass(frozen=True)
class Truth:
    """What is wrong: the index of the error of each annotation and prediction, or ``NO_ERROR``."""

    errors: Sequence[LabelError]
    annotations: NDArray[np.int64]
    predictions: NDArray[np.int64]


def find_truth(folder: Path, coco: COCO, detected: DetectedMasks) -> Truth:
    """Return which annotations are wrong, and which predictions are objects that were removed."""
    listed = json.loads((folder / "errors.json").read_text(encoding="utf-8"))
    errors = [LabelError(**entry) for entry in listed]
    by_id = {error.annotation_id: number for number, error in enumerate(errors)}
    annotations = [by_id.get(each["source_id"], NO_ERROR) for each in coco.dataset["annotations"]]
    predictions = np.full(len(detected.rows), NO_ERROR)
    in_image: dict[Any, list[int]] = defaultdict(list)
    for index, row in enumerate(detected.rows):
        in_image[row["image_id"]].append(index)
    true = read_annotations(folder / "true.json")
    masks = {each["source_id"]: each["segmentation"] for each in true.dataset["annotations"]}
    for number, error in enumerate(errors):
        own = in_image[error.image_id]
        if error.removed is None or not own:
            continue
        image = true.imgs[error.image_id]
        target = to_rle(masks[error.removed], image["height"], image["width"])
        found = [detected.rows[index]["segmentation"] for index in own]
        ious = coco_mask.iou(found, [target], [0])[:, 0]
        predictions[np.array(own)[ious >= SAME_OBJECT]] = number
    return Truth(errors, np.array(annotations), predictions)


def reviewed(coco: COCO, detected: DetectedMasks, by: str) -> Suspicions:
    """Return the suspicions of this project's review."""
    annotations = np.zeros(len(coco.dataset["annotations"]))
    predictions = np.zeros(len(detected.rows))
    for finding in review_labels(coco, detected, by=by).findings:
        if finding.annotation is not None:
            annotations[finding.annotation] = finding.suspicion
        elif finding.prediction is not None:
            predictions[finding.prediction] = finding.suspicion
    return Suspicions(annotations, predictions)


def precision(found: Suspicions, truth: Truth) -> float:
    """Return the share of errors among the first ``FIRST``, each error counting once."""
    values = np.concatenate([found.annotations, found.predictions])
    errors = np.concatenate([truth.annotations, truth.predictions])
    seen: set[int] = set()
    listed = 0
    for index in np.argsort(-values, kind="stable").tolist():
        if errors[index] in seen:
            continue
        listed += 1
        if errors[index] != NO_ERROR:
            seen.add(errors[index])
        if listed == FIRST:
            break
    return len(seen) / FIRST


def auc(found: Suspicions, truth: Truth, kinds: Sequence[str]) -> float:
    """Return the probability that an error of these kinds is ranked above what is right."""
    of_error = np.zeros(len(truth.errors))
    for errors, values in (
        (truth.annotations, found.annotations),
        (truth.predictions, found.predictions),
    ):
        np.maximum.at(of_error, errors[errors != NO_ERROR], values[errors != NO_ERROR])
    wrong = of_error[[error.kind in kinds for error in truth.errors]]
    right = []
    if set(kinds) != {"dropped"}:
        right.append(found.annotations[truth.annotations == NO_ERROR])
    if set(kinds) & {"dropped", "merged"}:
        right.append(found.predictions[truth.predictions == NO_ERROR])
    values = np.sort(np.concatenate(right))
    if not len(wrong) or not len(values):
        return float("nan")
    below, up_to = (np.searchsorted(values, wrong, side) for side in ("left", "right"))
    return float((below + up_to).mean() / 2 / len(values))


def figures(ways: Mapping[str, Suspicions], truth: Truth) -> dict[str, Floats]:
    """Return the numbers of each row of the table: errors, and each way to review."""
    counts = [sum(error.kind == kind for error in truth.errors) for kind in KINDS]
    groups = [KINDS, *([kind] for kind in KINDS)]
    rows = {"errors": np.array([float("nan"), len(truth.errors), *counts])}
    for name, found in ways.items():
        aucs = [auc(found, truth, group) for group in groups]
        rows[name] = np.array([precision(found, truth), *aucs])
    return rows


def table(parts: Sequence[Mapping[str, Floats]]) -> str:
    """Return the Markdown table of the means over several folders."""
    header = ["", f"precision of the first {FIRST}", "AUC, all kinds", *KINDS]
    lines = [header, ["---"] * len(header)]
    for name in parts[0]:
        means = np.mean([part[name] for part in parts], axis=0).tolist()
        places = 0 if name == "errors" else 2
        cells = ["-" if np.isnan(value) else f"{value:.{places}f}" for value in means]
        lines.append([name, *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def compare(run: Path, folder: Path) -> dict[str, Floats]:
    """Return the figures of the predictions of a run on the labels in a folder."""
    coco = read_annotations(folder / "noisy.json")
    halves = [
        read_detections(run / f"model_{i}" / "inference" / f"fold_{1 - i}", coco) for i in (0, 1)
    ]
    detected = DetectedMasks(
        [row for half in halves for row in half.rows],
        np.concatenate([half.boxes for half in halves]),
        {key: np.concatenate([half.scores[key] for half in halves]) for key in halves[0].scores},
    )
    by_cleanlab = cleanlab_suspicions(coco, detected)
    of_labels = np.maximum(by_cleanlab["badly located"], by_cleanlab["swapped"])
    ways = {
        "review by mask score": reviewed(coco, detected, MASK_SCORE.key),
        "review by class score": reviewed(coco, detected, CLASS_SCORE.key),
        "cleanlab": Suspicions(of_labels, by_cleanlab["overlooked"]),
    }
    return figures(ways, find_truth(folder, coco, detected))


@failures_named()
def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("errors", type=Path, nargs="*")
    args = parser.parse_args()
    print(table([compare(args.run, folder) for folder in args.errors or [args.run]]))


if __name__ == "__main__":
    main()
