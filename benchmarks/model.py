"""Compare the whole model with torchvision's Mask R-CNN on the CPU.

``python benchmarks/model.py`` measures all parts, ``--only inference`` one of them, and adds the
result to ``benchmarks/results/DATE-model.json``. Both sides have random weights, a ResNet-50-FPN,
one image of 800 x 1216, 1000 proposals and 100 detections; ours has the MaskIoU head in addition
and, as its weights do, the strides of the ResNet in the 1x1 convolutions. Ours returns COCO RLE,
torchvision masks of the size of the image. The sides take turns (A B A B ...).
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from model_calls import Recorder, count_kernels, time_calls
from model_sides import CONFIG, Ours, Torchvision
from report import RESULTS, commit, header, peak_memory

Row = dict[str, Any]
Task = Callable[[], Any]


class Took(NamedTuple):
    """Medians over the rounds, in seconds; ``cpu`` is the processor time of all threads."""

    wall: float
    cpu: float


def row(work: str, unit: str, ours: float, theirs: float, of: str = "torchvision") -> Row:
    """Return a row: the two sides, and how many times ours is better than the other."""
    ratio = round(theirs / ours, 3)
    return {"work": work, "unit": unit, "ours": ours, "other": theirs, "of": of, "ratio": ratio}


def timed(work: str, ours: Took, theirs: Took, of: str = "torchvision") -> Row:
    """Return a row of wall-clock seconds, with the processor time beside them."""
    cpu = {"ours_cpu": ours.cpu, "other_cpu": theirs.cpu}
    return row(work, "s", ours.wall, theirs.wall, of) | cpu


def take_turns(tasks: list[Task], rounds: int) -> list[Took]:
    """Return the median seconds of each task; the first turn of each warms up."""
    seconds: list[list[Took]] = [[] for _ in tasks]
    for _ in range(rounds + 1):
        for task, times in zip(tasks, seconds, strict=True):
            wall, cpu = time.perf_counter(), time.process_time()
            task()
            times.append(Took(time.perf_counter() - wall, time.process_time() - cpu))
    return [
        Took(*(round(statistics.median(values), 4) for values in zip(*times[1:], strict=True)))
        for times in seconds
    ]


def inference(rounds: int) -> Iterator[Row]:
    """Measure inference."""
    ours, half, theirs = Ours(), Ours("bfloat16"), Torchvision()
    found = [len(ours.infer()), len(half.infer()), len(theirs.infer()["boxes"])]
    assert found == [100, 100, 100], f"each side must have 100 detections, got {found}"
    fp32, other, bf16 = take_turns([ours.infer, theirs.infer, half.infer], rounds)
    yield timed("inference fp32", fp32, other)
    yield timed("inference bf16", bf16, other)


def floor(rounds: int) -> Iterator[Row]:
    """Measure inference against its convolutions and matrix products alone."""
    # without oneDNN the model keeps its convolutions apart from what follows them
    side = Ours()
    with torch.backends.mkldnn.flags(enabled=False), Recorder() as recorder:
        side.infer()
    for name in ("float32", "bfloat16"):
        (whole,) = take_turns([Ours(name).infer], rounds)
        for layout in ("channels_last", "contiguous")[: 2 if name == "float32" else 1]:
            last, dtype = layout == "channels_last", getattr(torch, name)
            bare = Took(*time_calls(recorder.calls, dtype, channels_last=last, rounds=rounds))
            yield timed(f"inference {name}", whole, bare, f"its products, {layout}")


def training(count: int, rounds: int) -> Iterator[Row]:
    """Measure a training step with ``count`` objects: losses, gradients, update."""
    tasks = [side.step(count) for side in (Ours(), Torchvision(), Ours("bfloat16"))]
    fp32, other, bf16 = take_turns(tasks, rounds)
    yield timed(f"training step fp32, {count} objects", fp32, other)
    yield timed(f"training step bf16, {count} objects", bf16, other)


def kernels() -> Iterator[Row]:
    """Count operators without views, and reads of values by the host."""
    ours, theirs = Ours(), Torchvision()
    for work, of_ours, of_theirs in (
        ("inference", ours.infer, theirs.infer),
        ("training step, 10 objects", ours.step(10), theirs.step(10)),
    ):
        for side, task in ((ours, of_ours), (theirs, of_theirs)):
            side.model.train()  # infer() goes back to evaluation
            task()  # what is computed once is not counted
            side.model.train()
        counts = zip(count_kernels(of_ours), count_kernels(of_theirs), strict=True)
        for what, pair in zip(("kernels", "host reads"), counts, strict=True):
            yield row(f"{what} of {work}", "", *pair)


def memory() -> Iterator[Row]:
    """Measure the peak memory of a process that does nothing else."""
    for work in ("inference", "training"):
        ours, half, theirs = (_peak_of(side, work) for side in ("ours", "bf16", "torchvision"))
        yield row(f"peak memory of {work} fp32", "GB", ours, theirs)
        yield row(f"peak memory of {work} bf16", "GB", half, theirs)
    least = _peak_of("checkpointed", "training")
    yield row("peak memory of training fp32, checkpointed", "GB", least, theirs)


def _peak_of(side: str, work: str) -> float:
    command = [sys.executable, __file__, "--peak", side, work]
    command += ["--threads", str(torch.get_num_threads())]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return float(output.splitlines()[-1])


def peak(side: str, work: str) -> float:
    """Return the GB by which the peak of this process exceeds its size after the imports."""
    before = peak_memory()
    checkpointing = ("MODEL.BACKBONE.ACTIVATION_CHECKPOINTING", True)
    model = {
        "ours": Ours,
        "bf16": lambda: Ours("bfloat16"),
        "checkpointed": lambda: Ours(settings=checkpointing),
        "torchvision": Torchvision,
    }[side]()
    task = model.infer if work == "inference" else model.step(10)
    for _ in range(2):
        task()
    return round(peak_memory() - before, 3)


STARTS = {  # what a side imports after torch, and how it builds its model
    "ours": """
from maskrcnn_benchmark.config import cfg
from maskrcnn_benchmark.modeling.detector import build_detection_model
cfg.merge_from_file(CONFIG)
build_detection_model(cfg)
""",
    "torchvision": """
from torchvision.models.detection import maskrcnn_resnet50_fpn
maskrcnn_resnet50_fpn(weights=None, weights_backbone=None)
""",
}


def start(rounds: int) -> Iterator[Row]:
    """Measure imports and the construction of the model in processes that have torch."""
    code = f"import torch, time; CONFIG = {str(CONFIG)!r}; t = time.perf_counter()"
    seconds: dict[str, list[float]] = {side: [] for side in STARTS}
    for _ in range(rounds + 1):
        for side, lines in STARTS.items():
            command = [sys.executable, "-c", f"{code}\n{lines}\nprint(time.perf_counter() - t)"]
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            seconds[side].append(float(output))
    ours, theirs = (round(statistics.median(times[1:]), 3) for times in seconds.values())
    yield row("import and construction, after torch", "s", ours, theirs)


def save(part: str, rows: list[Row], rounds: int) -> None:
    """Add a part to today's file; each part states its own command and commit."""
    head = header()
    path = RESULTS / f"{head['date']}-model.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"parts": {}}
    threads = torch.get_num_threads()
    command = f"python benchmarks/model.py --only {part} --threads {threads} --rounds {rounds}"
    found["parts"][part] = {"command": command, "commit": commit(), "rows": rows}
    path.write_text(json.dumps(head | {"parts": found["parts"]}, indent=1) + "\n", encoding="utf-8")


def table_line(row: Row) -> str:
    """Return a row of the table; in parentheses the processor time of all threads."""
    cells = []
    for side in ("ours", "other"):
        cpu = f" ({row[f'{side}_cpu']:.4g})" if f"{side}_cpu" in row else ""
        cells.append(f"{row[side]:.4g}{cpu} {row['unit']}".strip())
    return f"| {row['work']} | {cells[0]} | {cells[1]}, {row['of']} | {row['ratio']:.2f} |"


def main() -> None:
    """Measure the chosen parts, print a table and save it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parts: dict[str, Callable[[int], Iterator[Row]]] = {
        "inference": inference,
        "floor": floor,
        "training10": lambda rounds: training(10, rounds),
        "training100": lambda rounds: training(100, rounds),
        "kernels": lambda _: kernels(),
        "memory": lambda _: memory(),
        "start": start,
    }
    parser.add_argument("--only", choices=parts, help="measure this part only")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side")
    parser.add_argument("--no-file", action="store_true", help="only print the table")
    parser.add_argument("--peak", nargs=2, metavar=("SIDE", "WORK"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.peak:
        print(peak(*args.peak))
        return
    print("| work | ours | other | times |\n|---|---|---|---|")
    for part in [args.only] if args.only else list(parts):
        rows = []
        for line in parts[part](args.rounds):
            rows.append(line)
            print(table_line(line), flush=True)
        if not args.no_file:
            save(part, rows, args.rounds)


if __name__ == "__main__":
    main()
