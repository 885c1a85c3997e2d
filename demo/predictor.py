"""``COCODemo``: maskrcnn-benchmark's class for trying a model on OpenCV images.

A thin layer over ``maskrcnn_benchmark.predict.predictor``, which new code should use. Images
are BGR uint8 ``[H, W, 3]``, in and out.
"""

from dataclasses import replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from yacs.config import CfgNode

from maskrcnn_benchmark.checkpoint.checkpointer import DetectronCheckpointer
from maskrcnn_benchmark.data.datasets.images import as_rgb
from maskrcnn_benchmark.modeling.detector import build_detection_model
from maskrcnn_benchmark.predict.predictor import Predictor
from maskrcnn_benchmark.structures import fields
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.class_names import COCO_CLASSES
from maskrcnn_benchmark.structures.mask_paste import make_masker
from maskrcnn_benchmark.visualization import Instances, draw_instances
from maskrcnn_benchmark.visualization.colors import colors_for
from maskrcnn_benchmark.visualization.text import draw_line

Picture = NDArray[np.uint8]  # [H, W, 3] BGR

_TEXT_SIZE = 14  # pixels


class COCODemo:
    """Predicts on an image and draws the detections.

    ``CATEGORIES`` names the labels; override it for a model with other classes.

    Args:
        cfg: config of the model. The weights are the last checkpoint in OUTPUT_DIR, else
            MODEL.WEIGHT.
        confidence_threshold: only detections with a higher class score are shown.
        show_mask_heatmaps: whether to show mask probabilities instead of masks.
        masks_per_dim: number of heatmaps per row and per column.
        min_image_size: short side to which images are resized for the model.

    Raises:
        ValueError: there are no weights, or they do not cover the model.
    """

    CATEGORIES = tuple(COCO_CLASSES.class_names)

    def __init__(
        self,
        cfg: CfgNode,
        confidence_threshold: float = 0.7,
        show_mask_heatmaps: bool = False,
        masks_per_dim: int = 2,
        min_image_size: int = 224,
    ) -> None:
        self.cfg = cfg.clone()
        self.cfg.defrost()
        self.cfg.merge_from_list(["INPUT.MIN_SIZE_TEST", min_image_size])
        self.model = build_detection_model(self.cfg, paste_masks=False)  # masks are pasted here
        checkpointer = DetectronCheckpointer(self.cfg, self.model, save_dir=cfg.OUTPUT_DIR)
        if not (cfg.MODEL.WEIGHT or checkpointer.get_checkpoint_file()):
            raise ValueError("COCODemo needs weights: set MODEL.WEIGHT to a file")
        checkpointer.load(cfg.MODEL.WEIGHT, require_all=True)
        has_device = cfg.MODEL.DEVICE == "cpu" or torch.cuda.is_available()
        device = cfg.MODEL.DEVICE if has_device else "cpu"
        self.predictor = Predictor.from_cfg(self.cfg, self.model, device=device)
        masker = make_masker(self.cfg)
        self.masker = replace(masker, threshold=-1) if show_mask_heatmaps else masker
        self.confidence_threshold = confidence_threshold
        self.show_mask_heatmaps = show_mask_heatmaps
        self.masks_per_dim = masks_per_dim

    def run_on_opencv_image(self, image: Picture) -> Picture:
        """Return a copy of the image with boxes, masks and class names, or the heatmaps."""
        predictions = self.select_top_predictions(self.compute_prediction(image))
        if self.show_mask_heatmaps:
            return self.create_mask_montage(image, predictions)
        result = self.overlay_boxes(image.copy(), predictions)
        if self.cfg.MODEL.MASK_ON:
            result = self.overlay_mask(result, predictions)
        return self.overlay_class_names(result, predictions)

    def compute_prediction(self, original_image: Picture) -> BoxList:
        """Return all detections in pixels of the image.

        ``mask`` is pasted: bool ``[N, 1, H, W]`` or, for heatmaps, uint8 with 255 times the
        probability.
        """
        (found,) = self.predictor.detections([as_rgb(original_image[..., ::-1])])
        if found.has_field(fields.MASK):
            pasted = self.masker.forward_single_image(found.get_field(fields.MASK), found)
            found.add_field(fields.MASK, pasted)
        return found

    def select_top_predictions(self, predictions: BoxList) -> BoxList:
        """Return the detections above the threshold, sorted by descending class score."""
        scores = predictions.get_field(fields.SCORES)
        order = scores.argsort(descending=True)
        return predictions[order[scores[order] > self.confidence_threshold]]

    def compute_colors_for_labels(self, labels: torch.Tensor) -> NDArray[np.uint8]:
        """Return a BGR color ``[N, 3]`` for each label, always the same one."""
        return np.ascontiguousarray(colors_for(labels.numpy())[:, ::-1])

    def overlay_boxes(self, image: Picture, predictions: BoxList) -> Picture:
        """Draw the boxes on the image, in place."""
        colors = self.compute_colors_for_labels(predictions.get_field(fields.LABELS)).tolist()
        for box, color in zip(predictions.xyxy().round().int().tolist(), colors, strict=True):
            cv2.rectangle(image, tuple(box[:2]), tuple(box[2:]), tuple(color), 1)
        return image

    def overlay_mask(self, image: Picture, predictions: BoxList) -> Picture:
        """Return the image with the masks drawn in the colors of their labels."""
        instances = Instances(
            masks=predictions.get_field(fields.MASK)[:, 0].numpy(),
            labels=predictions.get_field(fields.LABELS).numpy(),
        )
        rgb = np.ascontiguousarray(image[..., ::-1])
        drawn = draw_instances(rgb, instances, color_by="class", long_side=0)
        return np.ascontiguousarray(drawn[..., ::-1])

    def overlay_class_names(self, image: Picture, predictions: BoxList) -> Picture:
        """Return the image with class, class score and mask IoU at the top left of each box."""
        scores = predictions.get_field(fields.SCORES).tolist()
        texts = [
            f"{self.CATEGORIES[label]}: {score:.2f}"
            for label, score in zip(
                predictions.get_field(fields.LABELS).tolist(), scores, strict=True
            )
        ]
        if predictions.has_field(fields.MASK_IOUS):
            ious = predictions.get_field(fields.MASK_IOUS).tolist()
            texts = [
                f"{text}, {fields.MASK_IOU.word} {iou:.2f}"
                for text, iou in zip(texts, ious, strict=True)
            ]
        picture = Image.fromarray(np.ascontiguousarray(image[..., ::-1]))
        draw = ImageDraw.Draw(picture)
        for text, (x, y, *_) in zip(texts, predictions.xyxy().int().tolist(), strict=True):
            corner = (x, max(y - _TEXT_SIZE - 2, 0))
            options = {"fill": (255, 255, 255), "stroke_width": 1, "stroke_fill": (0, 0, 0)}
            draw_line(draw, corner, text, size=_TEXT_SIZE, **options)
        return np.ascontiguousarray(np.asarray(picture)[..., ::-1])

    def create_mask_montage(self, image: Picture, predictions: BoxList) -> Picture:
        """Return the first masks in a grid of the image's size, as heatmaps."""
        side = self.masks_per_dim
        height, width = image.shape[0] // side, image.shape[1] // side
        montage = np.zeros((height * side, width * side), np.uint8)
        masks = predictions.get_field(fields.MASK)[: side * side, 0].numpy().astype(np.uint8)
        for index, mask in enumerate(masks):
            top, left = index // side * height, index % side * width
            small = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA)
            montage[top : top + height, left : left + width] = small
        return np.asarray(cv2.applyColorMap(montage, cv2.COLORMAP_JET))
