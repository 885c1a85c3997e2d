"""Compare the speed of our operators and torchvision's, interleaved in one process (A B A B ...).

``python benchmarks/ops.py [--threads 2] [--rounds 10] [WORD]`` prints, for each case whose name
contains WORD, the minimum wall-clock time and the minimum CPU time of a call.
"""

import argparse
import itertools
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
import torchvision
from mask_cases import Case, mask_cases
from torch import Tensor

from maskrcnn_benchmark.layers import batched_nms, has_extension, multilevel_roi_align, nms

SIZE = (1216, 800)  # width and height of the image


def draw_boxes(kind: str, count: int) -> tuple[Tensor, Tensor]:
    """Return boxes and scores, uniform (``"random"``) or around 300 objects like RPN proposals."""
    draw = torch.Generator().manual_seed(0)
    places = count if kind == "random" else 300
    center = torch.rand(places, 2, generator=draw) * torch.tensor(SIZE)
    side = 16 + 300 * torch.rand(places, 2, generator=draw).square()
    if kind != "random":
        of_box = torch.randint(places, (count,), generator=draw)
        center = center[of_box] + 0.15 * side[of_box] * torch.randn(count, 2, generator=draw)
        side = side[of_box] * torch.exp(0.2 * torch.randn(count, 2, generator=draw))
    boxes = torch.cat([center - side / 2, center + side / 2], dim=1)
    return boxes, torch.rand(count, generator=draw)


def nms_cases() -> Iterator[Case]:
    """Yield NMS of 12000 boxes at 0.7: in one group (C4), and in 5 levels or 80 classes."""
    for kind in ("clustered", "random"):
        boxes, scores = draw_boxes(kind, 12000)
        wider = boxes + torch.tensor([0, 0, 1, 1])  # makes torchvision's rule equal to ours
        yield Case(
            f"nms, 12000 {kind} boxes",
            lambda b=boxes, s=scores: nms(b, s, 0.7),
            lambda b=wider, s=scores: torchvision.ops.nms(b, s, 0.7),
        )
        yield Case(
            f"nms, 12000 {kind} boxes, the best 2000",
            lambda b=boxes, s=scores: nms(b, s, 0.7, max_keep=2000),
            lambda b=wider, s=scores: torchvision.ops.nms(b, s, 0.7)[:2000],
        )
        for groups in (5, 80):
            draw = torch.Generator().manual_seed(1)
            ids = torch.randint(groups, (12000,), generator=draw)
            yield Case(
                f"batched_nms, 12000 {kind} boxes, {groups} groups",
                lambda b=boxes, s=scores, i=ids: batched_nms(b, s, i, 0.7),
                lambda b=wider, s=scores, i=ids: torchvision.ops.batched_nms(b, s, i, 0.7),
            )


def pyramid_regions(count: int) -> tuple[Tensor, Tensor]:
    """Return regions ``[R, 5]`` of one image and their levels from P2 to P5 (FPN, eq. 1)."""
    boxes, _ = draw_boxes("clustered", count)
    boxes = boxes.clamp(min=0).minimum(torch.tensor([*SIZE, *SIZE]) - 1.0)
    side = (boxes[:, 2:] - boxes[:, :2] + 1).clamp(min=1).prod(dim=1).sqrt()
    levels = torch.floor(4 + torch.log2(side / 224 + 1e-6)).clamp(2, 5).long() - 2
    return torch.cat([torch.zeros(count, 1), boxes], dim=1), levels


def roi_align_cases() -> Iterator[Case]:
    """Yield ROIAlign of 512 regions with 256 channels on P2 to P5.

    torchvision is called once per level; merging its results into one tensor is not measured.
    """
    rois, levels = pyramid_regions(512)
    scales = [1 / 4, 1 / 8, 1 / 16, 1 / 32]
    parts = [rois[levels == level] for level in range(4)]
    for layout, size in itertools.product(("channels_last", "NCHW"), (7, 14)):
        features = [
            torch.randn(1, 256, round(SIZE[1] * s), round(SIZE[0] * s)).to(
                memory_format=torch.channels_last
                if layout == "channels_last"
                else torch.contiguous_format
            )
            for s in scales
        ]
        leaves = [x.detach().requires_grad_() for x in features]

        def ours(maps: list[Tensor], size: int = size) -> list[Tensor]:
            return [multilevel_roi_align(maps, rois, levels, size, scales, sampling_ratio=2)]

        def theirs(maps: list[Tensor], size: int = size) -> list[Tensor]:
            return [
                torchvision.ops.roi_align(x, part, size, scale, 2)
                for x, part, scale in zip(maps, parts, scales, strict=True)
            ]

        def gradient(outputs: list[Tensor], maps: list[Tensor] = leaves) -> Callable[[], Any]:
            grads = [torch.randn_like(y) for y in outputs]
            return lambda: torch.autograd.grad(outputs, maps, grads, retain_graph=True)

        name = f"roi_align {size}x{size}, {layout}"
        yield Case(f"{name}, forward", partial(ours, features), partial(theirs, features))
        yield Case(f"{name}, backward", gradient(ours(leaves)), gradient(theirs(leaves)))


def measure(case: Case, rounds: int) -> list[tuple[float, float]]:
    """Return the minimum wall-clock and CPU seconds of each implementation, ours first."""
    least = [(float("inf"), float("inf"))] * 2
    for turn in range(2 * (rounds + 1)):
        call = (case.ours, case.theirs)[turn % 2]
        wall, processor = time.perf_counter(), time.process_time()
        call()
        took = time.perf_counter() - wall, time.process_time() - processor
        if turn > 1:  # the first call of each warms up
            before = least[turn % 2]
            least[turn % 2] = min(before[0], took[0]), min(before[1], took[1])
    return least


def main() -> None:
    """Measure the cases and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("word", nargs="?", default="", help="only cases with this in the name")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=10)
    args = parser.parse_args()
    if not has_extension():
        parser.error("the extension is not built")
    torch.set_num_threads(args.threads)
    print("| case | ours ms (CPU ms) | other ms (CPU ms) | speedup |\n|---|---|---|---|")
    for case in itertools.chain(nms_cases(), roi_align_cases(), mask_cases(SIZE)):
        if args.word not in case.name:
            continue
        ours, theirs = measure(case, args.rounds)
        cells = [f"{1000 * wall:.2f} ({1000 * cpu:.2f})" for wall, cpu in (ours, theirs)]
        print(f"| {case.name} | {cells[0]} | {cells[1]} | {theirs[0] / ours[0]:.1f} |", flush=True)


if __name__ == "__main__":
    main()
