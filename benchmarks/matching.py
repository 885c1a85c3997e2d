"""Measure time and memory of matching all anchors of an image with many objects.

``python benchmarks/matching.py`` matches in chunks, and with ``--whole`` through one matrix of all
pairs, of which four are in memory at once.
"""

import argparse
import time

import torch
from report import peak_memory

from maskrcnn_benchmark.modeling.matcher import MAX_PAIRS, Matcher
from maskrcnn_benchmark.modeling.rpn.anchor_generator import AnchorGenerator

STRIDES = (4, 8, 16, 32, 64)


def main() -> None:
    """Match once, and print the time and memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=500)
    parser.add_argument("--size", type=int, nargs=2, default=(800, 1344), metavar=("H", "W"))
    parser.add_argument("--whole", action="store_true", help="use one matrix instead of chunks")
    args = parser.parse_args()
    torch.manual_seed(0)
    generator = AnchorGenerator((32, 64, 128, 256, 512), anchor_strides=STRIDES)
    height, width = args.size
    maps = [torch.zeros(1, 1, -(-height // s), -(-width // s)) for s in STRIDES]
    anchors = torch.cat(generator(maps))
    corner = torch.rand(args.objects, 2) * torch.tensor([width, height])
    objects = torch.cat([corner, corner + 8 + torch.rand(args.objects, 2) * 120], dim=1)
    matcher = Matcher(0.7, 0.3, allow_low_quality_matches=True)
    limit = len(anchors) * args.objects if args.whole else MAX_PAIRS
    before = peak_memory()
    start = time.process_time()
    matches = matcher.match_boxes(objects, anchors, 1.0, max_pairs=limit)
    seconds = time.process_time() - start
    more = (peak_memory() - before) * 1024
    positive = int((matches >= 0).sum())
    print(
        f"{args.objects} objects, {len(anchors)} anchors, {positive} positive: "
        f"{seconds:.2f} s of CPU, {more:.0f} MB more at the peak"
    )


if __name__ == "__main__":
    main()
