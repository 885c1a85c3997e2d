"""Show in which part of the model the time of inference and of a training step goes.

``python benchmarks/profile_model.py`` runs Mask Scoring R-CNN with a ResNet-50-FPN and random
weights on one image of 800 x 1216 (1000 proposals, 100 detections; 10 objects in training) under
torch's profiler, and prints the milliseconds of each part: forward, and in training backward. The
time of a part does not contain that of the parts that it calls. The gradient of an operator counts
for the part in which the operator ran: profiler events carry the number of the autograd node.
"""

import argparse
import bisect
import statistics
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple

import model_sides
import torch
from model_sides import THIN, Ours
from report import commit, write_result
from torch.autograd.profiler import record_function
from torch.profiler import ProfilerActivity, profile

PREFIX = "part: "
BACKWARD = "autograd::engine::evaluate_function: "
WHOLE, REST, UPDATE, SUMS = "whole", "the rest", "optimizer", "sums of gradients"
# part -> the module or object, and its method
PARTS = {
    "backbone": ("backbone.body", "forward"),
    "FPN": ("backbone.fpn", "forward"),
    "RPN head and anchors": ("rpn", "forward"),
    "proposals": ("rpn", "_select"),
    "RPN losses": ("rpn", "losses"),
    "sampling": ("roi_heads", "sampler"),
    "box head": ("roi_heads.box", "forward"),
    "box losses": ("roi_heads.box", "losses"),
    "detections (post-processing)": ("roi_heads.box", "detections"),
    "mask head": ("roi_heads.mask", "forward"),
    "mask targets and losses": ("roi_heads", "_mask_losses"),
    "mask selection": ("roi_heads", "add_masks"),
    "MaskIoU head": ("roi_heads.maskiou", "forward"),
}
Task = Callable[[], Any]


class Span(NamedTuple):
    """A call of a part: microseconds since the start of the profile."""

    start: float
    end: float
    part: str


def labelled(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function so that the profiler shows its calls as the part."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with record_function(PREFIX + part):
            return function(*args, **kwargs)

    return call


def label_parts(side: Ours) -> None:
    """Label the parts of the model, its optimizer, and the conversion of masks to RLE."""
    for part, (path, method) in PARTS.items():
        owner = side.model.get_submodule(path)
        setattr(owner, method, labelled(part, getattr(owner, method)))
    side.optimizer.step = labelled(UPDATE, side.optimizer.step)  # type: ignore[method-assign]
    model_sides.to_original_frame = labelled("RLE", model_sides.to_original_frame)


def milliseconds(task: Task) -> dict[str, dict[str, float]]:
    """Return the milliseconds of each part of a call, ``forward`` and ``backward``."""
    with profile(activities=[ProfilerActivity.CPU]) as recorded, record_function(PREFIX + WHOLE):
        task()
    events = [event for event in recorded.events() if event.time_range.elapsed_us() > 0]
    spans = sorted(
        Span(event.time_range.start, event.time_range.end, event.name.removeprefix(PREFIX))
        for event in events
        if event.name.startswith(PREFIX)
    )
    forward = exclusive(spans)
    backward = of_gradients(events, spans)
    whole = sum(forward.values())
    forward[REST] = forward.pop(WHOLE) - sum(backward.values())
    parts = {
        part: {"forward": forward.get(part, 0.0) / 1000, "backward": backward.get(part, 0.0) / 1000}
        for part in [*PARTS, "RLE", UPDATE, SUMS, REST]
        if part in forward or part in backward
    }
    return parts | {
        WHOLE: {
            "forward": (whole - sum(backward.values())) / 1000,
            "backward": sum(backward.values()) / 1000,
        }
    }


def exclusive(spans: list[Span]) -> dict[str, float]:
    """Return the microseconds of each part without those of the spans inside its own."""
    total: dict[str, float] = defaultdict(float)
    open_spans: list[Span] = []
    for span in spans:
        while open_spans and open_spans[-1].end <= span.start:
            open_spans.pop()
        if open_spans:
            total[open_spans[-1].part] -= span.end - span.start
        total[span.part] += span.end - span.start
        open_spans.append(span)
    return dict(total)


def of_gradients(events: list[Any], spans: list[Span]) -> dict[str, float]:
    """Return the microseconds of the gradients of each part.

    Autograd nodes are numbered in the order of the forward pass; a node whose operator is not an
    event belongs to the part of the node before it.
    """
    numbered: dict[int, str] = {}
    for event in events:
        if event.sequence_nr >= 0 and not event.name.startswith(BACKWARD):
            numbered.setdefault(event.sequence_nr, innermost(spans, event.time_range.start))
    known = sorted(numbered)
    total: dict[str, float] = defaultdict(float)
    for event in events:
        if event.name.startswith(BACKWARD):
            place = bisect.bisect_right(known, event.sequence_nr) - 1
            accumulates = "AccumulateGrad" in event.name or place < 0
            part = SUMS if accumulates else numbered[known[place]]
            total[REST if part == WHOLE else part] += event.time_range.elapsed_us()
    return dict(total)


def innermost(spans: list[Span], moment: float) -> str:
    """Return the part that runs at a moment: of the spans around it, the last to begin."""
    for span in reversed(spans[: bisect.bisect_right(spans, (moment, float("inf"), ""))]):
        if span.end >= moment:
            return span.part
    return WHOLE


def measure(task: Task, rounds: int) -> dict[str, dict[str, float]]:
    """Return the medians over the rounds, after one that warms up."""
    task()
    turns = [milliseconds(task) for _ in range(rounds)]
    return {
        part: {
            way: round(statistics.median(turn[part][way] for turn in turns), 2)
            for way in ("forward", "backward")
        }
        for part in turns[0]
    }


def show(work: str, parts: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    """Print a table and the three largest parts; return the rows."""
    whole = sum(parts[WHOLE].values())
    rows = [
        {"work": work, "part": part, **times, "share": round(sum(times.values()) / whole, 4)}
        for part, times in parts.items()
    ]
    print(f"\n{work}\n\n| part | forward ms | backward ms | share |\n|---|---|---|---|")
    for row in rows:
        share = f"{100 * row['share']:.1f} %"
        print(f"| {row['part']} | {row['forward']:.1f} | {row['backward']:.1f} | {share} |")
    costs = [
        (row[way], f"{row['part']}, {way}")
        for row in rows
        for way in ("forward", "backward")
        if row["part"] not in (WHOLE, REST)
    ]
    largest = [f"{name} ({100 * ms / whole:.0f} %)" for ms, name in sorted(costs, reverse=True)[:3]]
    print(f"\nThe three largest costs: {'; '.join(largest)}.")
    return rows


def main() -> None:
    """Profile inference and a training step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dtype", default="float32", help="DTYPE of the model")
    parser.add_argument("--thin", action="store_true", help="a body of half the width")
    parser.add_argument("--objects", type=int, default=10, help="in the training step")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-file", action="store_true", help="only print the tables")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    began = commit()
    side = Ours(args.dtype, settings=THIN if args.thin else ())
    label_parts(side)
    rows = show("inference", measure(side.infer, args.rounds))
    step = side.step(args.objects)
    rows += show(f"training step, {args.objects} objects", measure(step, args.rounds))
    if not args.no_file:
        print(f"\nwritten: {write_result('profile', rows, began)}")


if __name__ == "__main__":
    main()
