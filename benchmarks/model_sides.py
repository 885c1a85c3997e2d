"""Two models on the same work, ours and torchvision's, for ``benchmarks/model.py``."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

from maskrcnn_benchmark.config import cfg as defaults
from maskrcnn_benchmark.engine.train_step import train_step
from maskrcnn_benchmark.evaluation.original_frame import to_original_frame
from maskrcnn_benchmark.modeling.detector import build_detection_model
from maskrcnn_benchmark.solver import make_optimizer
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.image_list import to_image_list
from maskrcnn_benchmark.structures.mask_paste import make_masker
from maskrcnn_benchmark.structures.segmentation_mask import SegmentationMask

CONFIG = Path(__file__).parents[1] / "configs" / "e2e_ms_rcnn_R_50_FPN_1x.yaml"
SIZE = (1216, 800)  # width and height of the image
NUM_CLASSES = 81
SCORE_THRESH = 0.05
# Standard deviations of the outputs of random predictors that give as many proposals and
# detections as a trained model, spread over the image and the classes.
OUTPUTS = {
    "rpn.head.cls_logits": 2.0,
    "rpn.head.bbox_pred": 0.2,
    "roi_heads.box_predictor.cls_score": 3.0,
    "roi_heads.box_predictor.bbox_pred": 1.0,
    "roi_heads.box.predictor.cls_score": 3.0,
    "roi_heads.box.predictor.bbox_pred": 1.0,
    "roi_heads.mask_predictor.mask_fcn_logits": 3.0,
    "roi_heads.mask.predictor.mask_fcn_logits": 3.0,
    "roi_heads.maskiou.predictor.maskiou": 0.5,
}
# a body of half the width
THIN = ("MODEL.RESNETS.WIDTH_PER_GROUP", 32, "MODEL.RESNETS.RES2_OUT_CHANNELS", 128)
Task = Callable[[], Any]


def draw_image(size: tuple[int, int] = SIZE) -> Tensor:
    """Return an image ``[3, H, W]`` of smooth random color, from -1 to 1."""
    draw = torch.Generator().manual_seed(0)
    width, height = size
    coarse = torch.rand(1, 3, height // 16, width // 16, generator=draw) * 2 - 1
    return F.interpolate(coarse, (height, width), mode="bilinear")[0]


def draw_objects(count: int, size: tuple[int, int] = SIZE) -> tuple[Tensor, Tensor, list[Any]]:
    """Return boxes ``[count, 4]``, labels, and polygons of 30 vertices inside the boxes."""
    draw = torch.Generator().manual_seed(1)
    limits = torch.tensor([*size, *size]) - 1.0
    center = torch.rand(count, 2, generator=draw) * limits[:2]
    half = 10 + 150 * torch.rand(count, 2, generator=draw).square()
    boxes = torch.cat([center - half, center + half], dim=1).clamp(min=0).minimum(limits)
    labels = torch.randint(1, NUM_CLASSES, (count,), generator=draw)
    angles = torch.linspace(0, 2 * torch.pi, 31)[:30]
    circle = 0.5 + 0.5 * torch.stack([angles.cos(), angles.sin()], dim=1)
    points = boxes[:, None, :2] + circle * (boxes[:, None, 2:] - boxes[:, None, :2])
    return boxes, labels, [[polygon.flatten().tolist()] for polygon in points]


def scale_predictors(model: nn.Module, run: Task) -> None:
    """Scale the weights of the predictors in ``OUTPUTS`` where they first run."""
    handles: dict[nn.Module, Any] = {}

    def scale(layer: nn.Module, _: Any, output: Tensor, std: float) -> Tensor:
        factor = std / output.std().clamp(min=1e-12)
        layer.get_parameter("weight").mul_(factor)
        handles.pop(layer).remove()
        return output * factor

    for name, layer in model.named_modules():
        if std := OUTPUTS.get(name):
            handles[layer] = layer.register_forward_hook(partial(scale, std=std))
    model.eval()
    with torch.no_grad():
        run()


class Ours:
    """Mask Scoring R-CNN of this project, with polygons as ground truth and COCO RLE as result.

    ``settings`` are further keys and values of the config, as on a command line.
    """

    def __init__(
        self,
        dtype: str = "float32",
        size: tuple[int, int] = SIZE,
        settings: Sequence[Any] = (),
    ) -> None:
        cfg = defaults.clone()
        cfg.merge_from_file(str(CONFIG))
        cfg.merge_from_list(["MODEL.DEVICE", "cpu", "MODEL.ROI_HEADS.SCORE_THRESH", SCORE_THRESH])
        cfg.merge_from_list(list(settings))
        torch.manual_seed(0)
        self.model = build_detection_model(cfg, paste_masks=False)
        self.images = to_image_list([100 * draw_image(size)], cfg.DATALOADER.SIZE_DIVISIBILITY)
        self.size = size
        self.masker = make_masker(cfg)
        self.optimizer = make_optimizer(cfg, self.model)
        self.model.dtype = getattr(torch, dtype)  # before the first inference: it keeps weights
        scale_predictors(self.model, self.infer)

    def infer(self) -> BoxList:
        """Return the detections of the image."""
        self.model.eval()
        with torch.no_grad():
            (found,) = self.model(self.images)
            return to_original_frame(found, self.size, self.masker)

    def step(self, count: int) -> Task:
        """Return a training step with ``count`` objects; the weights hardly change."""
        boxes, labels, polygons = draw_objects(count, self.size)
        target = BoxList(boxes, self.size)
        target.add_field("labels", labels)
        target.add_field("masks", SegmentationMask(polygons, self.size))
        batch = (self.images, [target], [0])
        self.model.train()
        for group in self.optimizer.param_groups:
            group["lr"] = 1e-12
        return lambda: train_step(self.model, self.optimizer, batch, "cpu")


class Torchvision:
    """torchvision's Mask R-CNN, with bitmaps as ground truth and masks of the size of the image.

    Its backbone is frozen up to the first stage and has frozen batch normalization, as ours.
    """

    def __init__(self, size: tuple[int, int] = SIZE) -> None:
        torch.manual_seed(0)
        backbone = resnet_fpn_backbone(backbone_name="resnet50", weights=None, trainable_layers=3)
        self.model = torchvision.models.detection.MaskRCNN(
            backbone,
            NUM_CLASSES,
            min_size=min(size),
            max_size=max(size),
            box_score_thresh=SCORE_THRESH,
        )
        self.image = 0.5 + 0.5 * draw_image(size)
        self.size = size
        weights = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.SGD(weights, 1e-12, momentum=0.9, weight_decay=1e-4)
        scale_predictors(self.model, self.infer)

    def infer(self) -> Mapping[str, Tensor]:
        """Return the detections of the image."""
        self.model.eval()
        with torch.no_grad():
            return self.model([self.image])[0]

    def step(self, count: int) -> Task:
        """Return a training step with ``count`` objects; the weights hardly change."""
        boxes, labels, polygons = draw_objects(count, self.size)
        masks = SegmentationMask(polygons, self.size)
        target = {
            "boxes": boxes,
            "labels": labels,
            "masks": torch.from_numpy(masks.decode()),
        }
        self.model.train()

        def run() -> None:
            self.optimizer.zero_grad()
            losses = self.model([self.image], [target])
            torch.stack(list(losses.values())).sum().backward()
            self.optimizer.step()

        return run
