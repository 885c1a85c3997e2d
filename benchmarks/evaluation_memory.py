"""Measure the resident memory of a COCO-sized evaluation while predictions are collected.

``python benchmarks/evaluation_memory.py`` runs the evaluation loop with a dummy model that returns
100 detections with masks ``[100, 1, 28, 28]`` for each image of 640 x 480; then it writes
``predictions.pth`` and the COCO result files. With ``--float-masks`` the loop keeps the float masks
of the model, as earlier versions did.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from pycocotools.coco import COCO
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from maskrcnn_benchmark.data.collate_batch import BatchCollator
from maskrcnn_benchmark.engine import inference
from maskrcnn_benchmark.evaluation import evaluate_coco
from maskrcnn_benchmark.evaluation.predictions_file import save_predictions
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.image_list import ImageList
from maskrcnn_benchmark.structures.mask_paste import Masker

SIZE, RESIZED = (640, 480), (1066, 800)
DETECTIONS, SIDE, STEP = 100, 28, 500


def resident_mb() -> float:
    """Return the resident set of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * 4096 / 1e6


class Images(Dataset[Any]):
    """Blank images of 640 x 480 without annotations."""

    def __init__(self, count: int) -> None:
        self.id_to_img_map = {index: index + 1 for index in range(count)}
        self.contiguous_category_id_to_json_id = {label: label for label in range(1, 81)}
        self.coco = COCO()

    def __len__(self) -> int:
        return len(self.id_to_img_map)

    def __getitem__(self, index: int) -> tuple[Tensor, BoxList, int]:
        return torch.zeros(3, 8, 8), BoxList([], SIZE), index

    def get_img_info(self, index: int) -> dict[str, Any]:
        """Return the size of an image."""
        return {"id": index + 1, "width": SIZE[0], "height": SIZE[1]}


class StandIn(nn.Module):
    """Dummy model: 100 random boxes with masks per image; prints the memory at intervals."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(0)
        self.images = 0
        self.started = time.perf_counter()

    def forward(self, images: ImageList) -> list[BoxList]:
        """Return the detections of each image."""
        found = []
        for _ in images.image_sizes:
            if self.images % STEP == 0:
                seconds = time.perf_counter() - self.started
                print(f"| {self.images} | {resident_mb():.0f} | {seconds:.0f} |", flush=True)
            self.images += 1
            found.append(self.detections())
        return found

    def detections(self) -> BoxList:
        """Return 100 random detections with sides of 15 to 400 pixels."""

        def draw(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=self.generator)

        side = 15 + 385 * draw(DETECTIONS, 2).square()
        corner = draw(DETECTIONS, 2) * (torch.tensor(RESIZED) - side)
        boxes = BoxList(torch.cat([corner, corner + side], dim=1), RESIZED)
        cells = (torch.arange(SIDE) + 0.5) / SIDE * 2 - 1
        radius = 0.5 + 0.4 * draw(DETECTIONS, 2, 1)
        x, y = ((cells / radius[:, axis]).square() for axis in (0, 1))
        wave = 0.2 * torch.sin(3 * cells + 6 * draw(DETECTIONS, 1))
        logits = 8 * (1 - x[:, None, :] - y[:, :, None] + wave[:, None, :])
        scores, ious = draw(DETECTIONS), draw(DETECTIONS)
        boxes.add_field("labels", 1 + (79 * draw(DETECTIONS)).long())
        boxes.add_field("scores", scores)
        boxes.add_field("mask", logits.sigmoid()[:, None])
        boxes.add_field("mask_ious", ious)
        boxes.add_field("mask_scores", scores * ious)
        return boxes


def main() -> None:
    """Run the loop, write the files, and print the memory and time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--aligned", action="store_true", help="MODEL.ROI_MASK_HEAD.PASTE_ALIGNED")
    parser.add_argument("--float-masks", action="store_true", help="keep the float masks")
    args = parser.parse_args()
    dataset = Images(args.images)
    loader = DataLoader(dataset, batch_size=8, collate_fn=BatchCollator())
    if args.float_masks:
        inference.to_original_frame = lambda boxes, *_: boxes
    print("| images done | resident MB | seconds |\n|---|---|---|")
    model = StandIn()
    found = inference.compute_on_dataset(model, loader, "cpu", Masker(aligned=args.aligned))
    seconds = time.perf_counter() - model.started
    print(f"| {model.images} | {resident_mb():.0f} | {seconds:.0f} |")
    predictions = [found[index] for index in range(len(dataset))]
    with tempfile.TemporaryDirectory() as folder:
        save_predictions(predictions, Path(folder) / "predictions.pth")
        size = (Path(folder) / "predictions.pth").stat().st_size / 1e6
        print(f"\npredictions.pth: {size:.0f} MB; resident after writing it {resident_mb():.0f} MB")
        if not args.float_masks:
            evaluate_coco(dataset, predictions, iou_types=("bbox", "segm"), output_folder=folder)
            print(f"resident after writing bbox.json and segm.json: {resident_mb():.0f} MB")
    masks = args.images * DETECTIONS * SIDE * SIDE * 4 / 1e6
    print(f"size of the float masks of {args.images} images: {masks:.0f} MB")


if __name__ == "__main__":
    main()
