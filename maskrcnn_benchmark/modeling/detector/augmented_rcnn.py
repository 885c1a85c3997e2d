"""Test-time augmentation: one detection from several views of an image (``TEST.BBOX_AUG``)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from yacs.config import CfgNode

from maskrcnn_benchmark.modeling.detector.generalized_rcnn import GeneralizedRCNN
from maskrcnn_benchmark.modeling.roi_heads.detections import filter_detections
from maskrcnn_benchmark.modeling.roi_heads.roi_heads import CombinedROIHeads
from maskrcnn_benchmark.modeling.rpn.retinanet.candidates import Candidates, select_candidates
from maskrcnn_benchmark.modeling.rpn.retinanet.retinanet import RetinaNet
from maskrcnn_benchmark.modeling.rpn.rpn import RPN
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.box_ops import clip_boxes
from maskrcnn_benchmark.structures.image_list import ImageList
from maskrcnn_benchmark.structures.image_views import (
    BatchedViews,
    from_first_view,
    to_first_view,
)


class AugmentedRCNN(nn.Module):
    """Detect in several views of each image.

    The classified boxes of all views, before any of them is dropped, are mapped to the first view;
    thresholds, NMS and the limit on their number then apply to all of them together. The masks of
    the remaining boxes are predicted in each view, and so are their IoUs; the probabilities of the
    masks, in the frame of the box, and the IoUs are averaged over the views. Further
    heads, as that of keypoints, see the first view alone.

    Args:
        model: the detector. With a mask head, its feature maps of all views are in memory together.
    """

    def __init__(self, model: GeneralizedRCNN) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: BatchedViews) -> list[BoxList]:
        """Return the detections of each image in the frame of its first view."""
        device = batch.views[0].tensors.device
        with self.model.precision(device):
            if self.model.roi_heads is None:
                return self._one_stage(batch)
            return self._two_stages(batch, self.model.roi_heads)

    def _one_stage(self, batch: BatchedViews) -> list[BoxList]:
        net, firsts = self.model.rpn, _sizes(batch.views[0])
        assert isinstance(net, RetinaNet)
        offset, parts = net.box_coder.pixel_offset, []
        for view, flipped in zip(batch.views, batch.flipped, strict=True):
            found = net.candidates(view, net(self.model.backbone(view.tensors)))
            of_images = zip(found.boxes, _sizes(view), firsts, strict=True)
            boxes = [_to_first(*each, flipped=flipped, pixel_offset=offset) for each in of_images]
            parts.append((torch.stack(boxes), found.scores, found.labels))
        merged = Candidates(*(torch.cat(part, dim=1) for part in zip(*parts, strict=True)))
        return select_candidates(merged, firsts, net.limits, pixel_offset=offset)

    def _two_stages(self, batch: BatchedViews, heads: CombinedROIHeads) -> list[BoxList]:
        rpn, firsts = self.model.rpn, _sizes(batch.views[0])
        assert isinstance(rpn, RPN)
        offset = rpn.box_coder.pixel_offset
        features: list[list[Tensor]] = []  # without a mask head, of the first view alone
        boxes: list[list[Tensor]] = [[] for _ in firsts]
        scores: list[list[Tensor]] = [[] for _ in firsts]
        for view, flipped in zip(batch.views, batch.flipped, strict=True):
            maps = self.model.backbone(view.tensors)
            proposals = rpn.predict(view, rpn(maps))
            classified = heads.box.classified(heads.box(maps, proposals), proposals)
            for image, (of_image, its_scores) in enumerate(classified):
                own = proposals[image].size
                clipped = clip_boxes(of_image, own, offset)
                moved = _to_first(clipped, own, firsts[image], flipped=flipped, pixel_offset=offset)
                boxes[image].append(moved)
                scores[image].append(its_scores)
            if heads.mask is not None or not features:
                features.append(maps)
        limits = heads.box.limits
        detections = [
            filter_detections(torch.cat(b), torch.cat(s), size, limits, pixel_offset=offset)
            for b, s, size in zip(boxes, scores, firsts, strict=True)
        ]
        if heads.mask is not None:
            heads.add_masks(detections, *_average_masks(heads, batch, features, detections))
        for head in heads.further().values():
            head.add_predictions(features[0], detections)
        return detections


def _average_masks(
    heads: CombinedROIHeads,
    batch: BatchedViews,
    features: Sequence[list[Tensor]],
    detections: Sequence[BoxList],
) -> tuple[Tensor, Tensor | None]:
    """Return the mean over the views of the masks ``[R, M, M]`` and of their IoUs ``[R]``."""
    masks, ious = [], []
    for maps, view, flipped in zip(features, batch.views, batch.flipped, strict=True):
        boxes = [
            from_first_view(found, flipped, size)
            for found, size in zip(detections, _sizes(view), strict=True)
        ]
        mask, iou = heads.predict_masks(maps, boxes)
        masks.append(mask.flip(-1) if flipped else mask)
        if iou is not None:
            ious.append(iou)
    return torch.stack(masks).mean(dim=0), torch.stack(ious).mean(dim=0) if ious else None


def _sizes(images: ImageList) -> list[tuple[int, int]]:
    """Return ``(width, height)`` of each image before padding."""
    return [(width, height) for height, width in images.image_sizes]


def _to_first(
    boxes: Tensor,
    own: tuple[int, int],
    first: tuple[int, int],
    *,
    flipped: bool,
    pixel_offset: float,
) -> Tensor:
    """Map corners ``[..., 4]`` in a view of one image to its first view."""
    flat = BoxList(boxes.reshape(-1, 4), own, pixel_offset=pixel_offset)
    return to_first_view(flat, flipped, first).bbox.reshape(boxes.shape)


def make_augmented(cfg: CfgNode, model: nn.Module) -> nn.Module:
    """Return the model with the test-time augmentation of ``TEST.BBOX_AUG``, or as it is.

    Raises:
        ValueError: the model is no GeneralizedRCNN, whose parts this needs.
    """
    if not cfg.TEST.BBOX_AUG.ENABLED:
        return model
    if not isinstance(model, GeneralizedRCNN):
        raise ValueError(
            f"TEST.BBOX_AUG.ENABLED needs a GeneralizedRCNN, and the model is a "
            f"{type(model).__name__}: set it to False"
        )
    return AugmentedRCNN(model)
