"""The combined ROI heads: boxes, masks and mask quality, and further heads."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from yacs.config import CfgNode

from maskrcnn_benchmark.modeling.matcher import Matcher
from maskrcnn_benchmark.modeling.registry import ROI_BOX_HEADS
from maskrcnn_benchmark.modeling.roi_heads.box_head import (
    ROIBoxHead,
    build_box_head,
    check_box_head,
)
from maskrcnn_benchmark.modeling.roi_heads.cascade_head import (
    CascadeBoxHead,
    build_cascade_box_head,
    check_cascade_box_head,
)
from maskrcnn_benchmark.modeling.roi_heads.keypoint_head import (
    build_keypoint_head,
    check_keypoint_head,
)
from maskrcnn_benchmark.modeling.roi_heads.mask_head import (
    MaskOutput,
    ROIMaskHead,
    build_mask_head,
    build_mask_targets,
    has_mask_target,
    mask_loss,
    select_class,
)
from maskrcnn_benchmark.modeling.roi_heads.maskiou_head import (
    ROIMaskIoUHead,
    build_maskiou_head,
    mask_iou_loss,
    mask_iou_target,
    mask_score,
    select_iou,
)
from maskrcnn_benchmark.modeling.roi_heads.sampling import ProposalSampler, SampledProposals
from maskrcnn_benchmark.modeling.sampler import BalancedPositiveNegativeSampler, true_indices
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.fields import (
    LABELS,
    MASK,
    MASK_IOUS,
    MASK_SCORES,
    SCORES,
)
from maskrcnn_benchmark.structures.mask_paste import Masker, make_masker


class FurtherHead(Protocol):
    """A head that depends on no other but the box head's sampling and detections."""

    def losses(self, features: Sequence[Tensor], sampled: SampledProposals) -> dict[str, Tensor]:
        """Return the losses of the sampled proposals by name."""
        ...

    def add_predictions(self, features: Sequence[Tensor], detections: Sequence[BoxList]) -> None:
        """Add fields to the detections of each image."""
        ...


class CombinedROIHeads(nn.Module):
    """Box head with optional mask head and MaskIoU head, and further heads.

    Args:
        box: the box head.
        mask: the mask head, if any.
        maskiou: the MaskIoU head, if any; requires ``mask``.
        sampler: samples the proposals for training.
        maskiou_loss_weight: weight of ``loss_maskiou``.
        masker: pastes the predicted masks into the image; None to return them unpasted.
        further: other heads (``FurtherHead``) by the names of their submodules.
    """

    def __init__(
        self,
        box: ROIBoxHead | CascadeBoxHead,
        mask: ROIMaskHead | None,
        maskiou: ROIMaskIoUHead | None,
        *,
        sampler: ProposalSampler,
        maskiou_loss_weight: float = 1.0,
        masker: Masker | None = None,
        further: Mapping[str, nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.box = box
        self.mask = mask
        self.maskiou = maskiou
        self.sampler = sampler
        self.maskiou_loss_weight = maskiou_loss_weight
        self.masker = masker
        self._further = list(further or {})
        for name, head in (further or {}).items():
            self.add_module(name, head)

    def further(self) -> dict[str, FurtherHead]:
        """Return the other heads by name."""
        return {name: self.get_submodule(name) for name in self._further}  # type: ignore[misc]

    def losses(
        self,
        features: Sequence[Tensor],
        proposals: Sequence[BoxList],
        targets: Sequence[BoxList],
    ) -> dict[str, Tensor]:
        """Return the losses of all heads.

        Args:
            features: feature map ``[N, C, H, W]`` of each level.
            proposals: proposals of each of the N images.
            targets: ground truth of each image, with ``labels`` and, for the mask losses,
                ``masks``; these losses ignore instances without a mask. The keypoint loss needs
                ``keypoints``.
        """
        sampled = self.sampler(proposals, targets)
        box_output = self.box(features, sampled.boxes)
        losses = self.box.losses(box_output, sampled)
        if self.mask is not None:
            learned = true_indices(has_mask_target(sampled))
            positives = sampled[learned]
            if self.mask.shares_box_features:
                starts = accumulate((len(labels) for labels in sampled.labels), initial=0)
                rows = torch.cat([of + start for of, start in zip(learned, starts, strict=False)])
                output = self.mask.predict(box_output.pooled[rows], box_output.features[rows])
            else:
                output = self.mask(features, positives.boxes)
            losses.update(self._mask_losses(output, positives))
        for head in self.further().values():
            losses.update(head.losses(features, sampled))
        return losses

    def _mask_losses(self, output: MaskOutput, positives: SampledProposals) -> dict[str, Tensor]:
        labels = positives.all_labels()
        logits = select_class(output.logits, labels)  # [R, M, M]
        gt = build_mask_targets(positives, logits.shape[-1])
        losses = {"loss_mask": mask_loss(logits, gt.masks)}
        if self.maskiou is not None:
            # neither masks nor features are detached: the MaskIoU loss also trains the mask head
            # and the backbone, as in the original
            pred_ious = self.maskiou(output.roi_features, logits.sigmoid())
            target = mask_iou_target(logits.detach(), gt)
            loss = mask_iou_loss(select_iou(pred_ious, labels), target)
            losses["loss_maskiou"] = self.maskiou_loss_weight * loss
        return losses

    def predict(self, features: Sequence[Tensor], proposals: Sequence[BoxList]) -> list[BoxList]:
        """Return the detections of each image.

        Their fields are ``scores`` and ``labels``; with a mask head ``mask``, the probabilities
        ``[N, 1, M, M]`` (``[N, 1, H, W]`` if the model pastes them); with a MaskIoU head also
        ``mask_ious`` and ``mask_scores = scores * mask_ious``; with a keypoint head ``keypoints``.
        """
        detections = self.box.detections(self.box(features, proposals), proposals)
        if self.mask is not None:
            self.add_masks(detections, *self.predict_masks(features, detections))
        for head in self.further().values():
            head.add_predictions(features, detections)
        return detections

    def predict_masks(
        self, features: Sequence[Tensor], detections: Sequence[BoxList]
    ) -> tuple[Tensor, Tensor | None]:
        """Return the mask of each detection and its predicted IoU; needs a mask head.

        Args:
            features: feature map ``[N, C, H, W]`` of each level.
            detections: detections of each image with ``labels``.

        Returns:
            Probabilities ``[R, M, M]`` and, with a MaskIoU head, IoUs ``[R]``.
        """
        assert self.mask is not None
        output = self.mask(features, detections)
        labels = torch.cat([d.get_field(LABELS) for d in detections])
        masks = select_class(output.logits, labels).sigmoid()
        if self.maskiou is None:
            return masks, None
        return masks, select_iou(self.maskiou(output.roi_features, masks), labels)

    def add_masks(self, detections: list[BoxList], masks: Tensor, ious: Tensor | None) -> None:
        """Add the results of ``predict_masks`` to the detections of each image."""
        counts = [len(d) for d in detections]
        for image, mask in zip(detections, masks[:, None].split(counts), strict=True):
            image.add_field(MASK, mask)
        if ious is not None:
            for image, mask_ious in zip(detections, ious.split(counts), strict=True):
                image.add_field(MASK_IOUS, mask_ious)
                image.add_field(MASK_SCORES, mask_score(image.get_field(SCORES), mask_ious))
        if self.masker is not None:
            for image in detections:
                pasted = self.masker.forward_single_image(image.get_field(MASK), image)
                image.add_field(MASK, pasted.to(masks.device))


ROI_BOX_HEADS.register("ROIBoxHead", check=check_box_head)(build_box_head)
ROI_BOX_HEADS.register("CascadeBoxHead", check=check_cascade_box_head)(build_cascade_box_head)


class HeadEntry(NamedTuple):
    """A head that a config can switch on in addition to boxes and masks.

    Attributes:
        switch: key of MODEL that switches it on.
        section: section of MODEL with its keys, among them POOLER_SCALES.
        build: ``(cfg, in_channels)``: builds the head, a ``FurtherHead``.
        check: yields the problems of its keys.
    """

    switch: str
    section: str
    build: Callable[[CfgNode, int], nn.Module]
    check: Callable[[CfgNode], Iterable[str]]


# by the name of the submodule of the ROI heads
FURTHER_HEADS = {
    "keypoint": HeadEntry(
        "KEYPOINT_ON", "ROI_KEYPOINT_HEAD", build_keypoint_head, check_keypoint_head
    ),
}


def make_further_entries(cfg: CfgNode) -> dict[str, HeadEntry]:
    """Return the entries of ``FURTHER_HEADS`` that the config switches on."""
    return {name: entry for name, entry in FURTHER_HEADS.items() if cfg.MODEL[entry.switch]}


def build_roi_heads(cfg: CfgNode, in_channels: int, paste_masks: bool) -> CombinedROIHeads:
    """Build the ROI heads that the config enables.

    Args:
        cfg: the config.
        in_channels: number of channels of the feature maps.
        paste_masks: see ``build_detection_model``.
    """
    options = cfg.MODEL.ROI_HEADS
    mask_options = cfg.MODEL.ROI_MASK_HEAD
    pastes = paste_masks and cfg.MODEL.MASK_ON and mask_options.POSTPROCESS_MASKS
    box = ROI_BOX_HEADS.build(cfg, in_channels)
    mask = build_mask_head(cfg, in_channels, box.feature_extractor) if cfg.MODEL.MASK_ON else None
    maskiou = None
    if mask is not None and cfg.MODEL.MASKIOU_ON:
        maskiou = build_maskiou_head(cfg, in_channels, mask.roi_side)
    return CombinedROIHeads(
        box,
        mask,
        maskiou,
        sampler=ProposalSampler(
            Matcher(options.FG_IOU_THRESHOLD, options.BG_IOU_THRESHOLD),
            BalancedPositiveNegativeSampler(
                options.BATCH_SIZE_PER_IMAGE, options.POSITIVE_FRACTION
            ),
        ),
        maskiou_loss_weight=cfg.MODEL.MASKIOU_LOSS_WEIGHT,
        masker=make_masker(cfg) if pastes else None,
        further={
            name: entry.build(cfg, in_channels) for name, entry in make_further_entries(cfg).items()
        },
    )
