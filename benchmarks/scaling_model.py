"""Compute where training on 8, 64 and 512 GPUs would saturate; update the tables of ``SCALING.md``.

``python benchmarks/scaling_model.py --measure`` measures what does not depend on a GPU and writes
``benchmarks/results/DATE-scaling_model.json``: FLOPs, kernels and host reads of a step, bytes of
the gradient, processor time of preparing an image. Without ``--measure`` it computes the tables
that follow from the latest of these files and from ``Cluster``, whose figures are assumptions or
come from data sheets, as their comments say.
"""

import argparse
import io
import json
import math
import random
import time
from typing import Any, NamedTuple

from report import RESULTS, ROOT, commit, write_result

PAGE = ROOT / "benchmarks" / "SCALING.md"
GPUS = (1, 8, 64, 512)
TEST_IMAGES = 5000
EFFICIENT = 0.9  # a job saturates where the images per second and GPU fall below this share


class Measured(NamedTuple):
    """What was measured here, for one image of 800 x 1216 with 10 objects."""

    inference_flops: float
    forward_flops: float  # of a training step
    step_flops: float  # forward and backward
    step_kernels: float
    step_reads: float  # values that the host waits for
    gradient_bytes: float  # float32
    image_seconds: float  # of one core, to decode, resize, flip and collate


class Cluster(NamedTuple):
    """The machines: figures of data sheets, and assumptions that were not measured here."""

    gpus_per_node: int = 8
    peak_flops: float = 989e12  # data sheet of NVIDIA's H100 SXM: bf16, dense
    achieved: float = 0.3  # assumption: share of the peak that the products of this model reach
    kernel_seconds: float = 5e-6  # assumption: what the host needs to launch a kernel
    read_seconds: float = 50e-6  # assumption: what a host read costs, the queue running empty
    nvlink: float = 450e9  # data sheet of the H100: 900 GB/s in both directions together
    link_share: float = 0.8  # assumption: share of a link's rate that an all-reduce reaches
    hop_seconds: float = 10e-6  # assumption: latency of one exchange between nodes
    cores_per_gpu: int = 12  # assumption: 96 cores in a node
    images_per_gpu: int = 2  # SOLVER.IMS_PER_BATCH 16 on 8 GPUs
    bucket_bytes: float = 25 * 2**20  # default of DistributedDataParallel (its documentation)


class Step(NamedTuple):
    """Milliseconds of a training step."""

    compute: float
    host: float  # launches and reads; the GPU computes meanwhile
    data: float  # the workers prepare the next batch meanwhile
    reduce: float  # the gradient, of which ``exposed`` is not hidden by the backward pass
    exposed: float

    def total(self) -> float:
        """Return the length of the step."""
        return max(max(self.compute, self.host) + self.exposed, self.data)

    def limit(self) -> str:
        """Return what a shorter step would need."""
        if self.data >= self.total():
            return "data"
        return "host" if self.host > self.compute else "compute"


def reduce_seconds(size: float, gpus: int, network: float, cluster: Cluster) -> float:
    """Return the time to all-reduce ``size`` bytes: inside the nodes, then between them.

    A ring moves ``2 (p - 1) / p`` times the bytes through each link. Between nodes, each GPU
    reduces its share, and all GPUs of a node share ``network`` bytes per second; every bucket
    crosses a tree of the nodes up and down.
    """
    inside, nodes = min(gpus, cluster.gpus_per_node), -(-gpus // cluster.gpus_per_node)
    seconds = 2 * (inside - 1) / inside * size / (cluster.nvlink * cluster.link_share)
    seconds += 2 * (nodes - 1) / nodes * size / (network * cluster.link_share)
    buckets = math.ceil(size / cluster.bucket_bytes)
    return seconds + 2 * math.ceil(math.log2(nodes)) * buckets * cluster.hop_seconds


def step(
    measured: Measured, gpus: int, network: float, cluster: Cluster, *, gradient: float = 1.0
) -> Step:
    """Return the step on ``gpus``; the gradient is sent in ``gradient`` times its float32 bytes."""
    images = cluster.images_per_gpu
    compute = images * measured.step_flops / (cluster.peak_flops * cluster.achieved)
    host = measured.step_kernels * cluster.kernel_seconds
    host += measured.step_reads * cluster.read_seconds
    data = images * measured.image_seconds / cluster.cores_per_gpu
    size = gradient * measured.gradient_bytes
    reduce = reduce_seconds(size, gpus, network, cluster) if gpus > 1 else 0.0
    share = 1 - measured.forward_flops / measured.step_flops
    backward = share * max(compute, host)
    # the last bucket is complete only when the backward pass is over
    last = reduce * min(1.0, cluster.bucket_bytes * gradient / size)
    exposed = max(reduce - backward, last)
    return Step(*(1000 * seconds for seconds in (compute, host, data, reduce, exposed)))


def steps_table(measured: Measured, cluster: Cluster) -> str:
    """Return the step on each number of GPUs, network and size of the gradient."""
    lines = [
        "| GPUs | Gb/s of a node | gradient | compute ms | host ms | data ms | reduce ms, exposed "
        "| step ms | images/s | efficiency | limit |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, gradient in (("float32", 1.0), ("bf16", 0.5)):
        for gigabits in (200, 400):
            alone = step(measured, 1, gigabits / 8 * 1e9, cluster, gradient=gradient).total()
            for gpus in GPUS if (name, gigabits) == ("float32", 200) else GPUS[2:]:
                s = step(measured, gpus, gigabits / 8 * 1e9, cluster, gradient=gradient)
                images = gpus * cluster.images_per_gpu / s.total() * 1000
                network = gigabits if gpus > cluster.gpus_per_node else "-"
                limit = s.limit() + (", network" if alone / s.total() < EFFICIENT else "")
                lines.append(
                    f"| {gpus} | {network} | {name} | {s.compute:.1f} | {s.host:.1f} | "
                    f"{s.data:.1f} | {s.reduce:.1f}, {s.exposed:.1f} | {s.total():.1f} | "
                    f"{images:.0f} | {100 * alone / s.total():.0f} % | {limit} |"
                )
    return "\n".join(lines)


def needs_table(measured: Measured, cluster: Cluster) -> str:
    """Return what would remove each limit, for the step that is left without the network."""
    s = step(measured, 1, 1.0, cluster)
    floor = max(s.compute, s.host)
    cores = cluster.images_per_gpu * measured.image_seconds * 1000 / floor
    kernels = (s.compute / 1000 - measured.step_reads * cluster.read_seconds) / (
        cluster.kernel_seconds
    )
    backward = (1 - measured.forward_flops / measured.step_flops) * floor / 1000
    networks = [
        2 * share * measured.gradient_bytes / (backward * cluster.link_share) * 8 / 1e9
        for share in (1.0, 0.5)
    ]
    rows = [
        ("FLOPs of an image: inference, forward pass of training, training step", _tera(measured)),
        ("bytes of the gradient", f"{measured.gradient_bytes / 1e6:.0f} MB"),
        ("images per second and core that are prepared", f"{1 / measured.image_seconds:.0f}"),
        (
            "kernels and host reads of a step",
            f"{measured.step_kernels:.0f}, {measured.step_reads:.0f}",
        ),
        ("cores for each GPU, so that data is no limit", f"{cores:.1f}"),
        ("kernels of a step at which the host is no limit", f"{max(kernels, 0):.0f}"),
        (
            "Gb/s of a node that hide the gradient, float32 and bf16",
            "{:.0f}, {:.0f}".format(*networks),
        ),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def serial_table(measured: Measured, cluster: Cluster) -> str:
    """Return what one process does alone in a test of 5000 images, beside the shared inference."""
    lines = [
        "| GPUs | inference s, its products alone | metrics on rank 0 s, pycocotools | fast |",
        "|---|---|---|---|",
    ]
    path = max(RESULTS.glob("*-evaluation.json"))
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    metrics = {row["side"]: TEST_IMAGES * row["wall"] / row["images"] for row in rows}
    for gpus in GPUS:
        images = math.ceil(TEST_IMAGES / gpus)
        seconds = images * measured.inference_flops / (cluster.peak_flops * cluster.achieved)
        of_metrics = f"{metrics['pycocotools']:.0f} | {metrics['fast']:.0f}"
        lines.append(f"| {gpus} | {seconds:.2f} | {of_metrics} |")
    return "\n".join(lines)


def _tera(measured: Measured) -> str:
    flops = (measured.inference_flops, measured.forward_flops, measured.step_flops)
    return ", ".join(f"{value / 1e12:.2f} T" for value in flops)


def measure() -> list[dict[str, Any]]:
    """Measure the model and the preparation of images on this machine."""
    import torch
    from model_calls import count_kernels
    from model_sides import Ours
    from torch.utils.flop_counter import FlopCounterMode

    side = Ours()
    # the counter does not know the fused kernels of oneDNN
    with torch.backends.mkldnn.flags(enabled=False), FlopCounterMode(display=False) as inference:
        side.infer()
    side = Ours("bfloat16")
    task = side.step(10)
    forward: list[int] = []
    with FlopCounterMode(display=False) as training:
        end = side.model.register_forward_hook(
            lambda *_: forward.append(training.get_total_flops())
        )
        task()
    end.remove()
    kernels, reads = count_kernels(task)
    trained = sum(p.numel() for p in side.model.parameters() if p.requires_grad)
    values = Measured(
        inference_flops=inference.get_total_flops(),
        forward_flops=forward[0],
        step_flops=training.get_total_flops(),
        step_kernels=kernels,
        step_reads=reads,
        gradient_bytes=4 * trained,
        image_seconds=prepare_seconds(),
    )
    return [{"what": name, "value": value} for name, value in values._asdict().items()]


def prepare_seconds(images: int = 40) -> float:
    """Return the processor seconds to decode, resize, flip and collate a JPEG of 640 x 480."""
    from model_sides import CONFIG, draw_image, draw_objects
    from PIL import Image

    from maskrcnn_benchmark.config import cfg as defaults
    from maskrcnn_benchmark.data.collate_batch import BatchCollator
    from maskrcnn_benchmark.data.transforms.build import build_transforms
    from maskrcnn_benchmark.structures.bounding_box import BoxList
    from maskrcnn_benchmark.structures.segmentation_mask import SegmentationMask

    cfg = defaults.clone()
    cfg.merge_from_file(str(CONFIG))
    transforms, collate = build_transforms(cfg), BatchCollator(cfg.DATALOADER.SIZE_DIVISIBILITY)
    size = (640, 480)
    pixels = (127.5 + 127.5 * draw_image(size)).byte().permute(1, 2, 0).numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    boxes, labels, polygons = draw_objects(7, size)
    began = time.process_time()
    for index in range(0, images, 2):
        samples = []
        for number in (index, index + 1):
            target = BoxList(boxes, size)
            target.add_field("labels", labels)
            target.add_field("masks", SegmentationMask(polygons, size))
            image = Image.open(buffer).convert("RGB")
            samples.append((*transforms(image, target, random.Random(number)), number))
        collate(samples)
    return (time.process_time() - began) / images


def tables(measured: Measured, cluster: Cluster) -> dict[str, str]:
    """Return the tables by the name of their comment in ``SCALING.md``."""
    return {
        "needs": needs_table(measured, cluster),
        "steps": steps_table(measured, cluster),
        "serial": serial_table(measured, cluster),
    }


def latest() -> Measured:
    """Return the figures of the latest file."""
    path = max(RESULTS.glob("*-scaling_model.json"))
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    return Measured(**{row["what"]: row["value"] for row in rows})


def main() -> None:
    """Measure if asked to, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", action="store_true", help="measure here first")
    parser.add_argument("--check", action="store_true", help="exit with 1 if the page is outdated")
    args = parser.parse_args()
    if args.measure:
        began = commit()
        print(f"written: {write_result('scaling_model', measure(), began)}\n")
    former = text = PAGE.read_text(encoding="utf-8")
    for name, table in tables(latest(), Cluster()).items():
        print(f"{table}\n")
        before, rest = text.split(f"<!-- {name} -->\n\n")
        after = rest.split("\n\n", 1)[1]  # of the former table
        text = f"{before}<!-- {name} -->\n\n{table}\n\n{after}"
    if args.check:
        raise SystemExit(text != former)
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
