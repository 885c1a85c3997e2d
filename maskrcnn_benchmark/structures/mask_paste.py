"""From masks in the frame of a box to masks in the frame of the image."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from yacs.config import CfgNode

from maskrcnn_benchmark.layers import PasteRule, masks_to_rle, paste_masks
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.rle_masks import RleMasks


@dataclass(frozen=True)
class Masker(PasteRule):
    """Paste ``[N, 1, M, M]`` mask probabilities into images at the boxes, by a `PasteRule`."""

    def __call__(self, masks: Sequence[Tensor], boxes: Sequence[BoxList]) -> list[Tensor]:
        """Paste the masks of several images: ``[N, 1, H, W]`` each, on the CPU.

        Raises:
            ValueError: the numbers of images, or of masks and boxes in one, differ.
        """
        if len(masks) != len(boxes):
            raise ValueError(f"Masker: masks of {len(masks)} images, boxes of {len(boxes)}")
        pairs = zip(masks, boxes, strict=True)
        return [self.forward_single_image(mask.cpu(), box.to("cpu")) for mask, box in pairs]

    def forward_single_image(self, masks: Tensor, boxes: BoxList) -> Tensor:
        """Paste masks ``[N, 1, M, M]`` at N boxes: bool (or uint8) ``[N, 1, H, W]``.

        Raises:
            ValueError: there is not one mask for each box, or the masks are pixels: the model has
                pasted them already.
        """
        if not masks.is_floating_point():
            raise ValueError(
                f"Masker: masks of dtype {masks.dtype} are pasted already; build the model with "
                "build_detection_model(cfg, paste_masks=False), or set "
                "MODEL.ROI_MASK_HEAD.POSTPROCESS_MASKS False"
            )
        self._check_numbers(masks, boxes)
        return paste_masks(masks[:, 0], boxes.xyxy(), boxes.size, self)[:, None]

    def rles(self, masks: Tensor, boxes: BoxList) -> RleMasks:
        """Paste masks ``[N, 1, M, M]`` at N boxes, without a mask of the size of the image.

        Raises:
            ValueError: ``threshold`` is negative, the masks are no probabilities (they were pasted
                before), or there is not one for each box.
        """
        if self.threshold < 0:
            raise ValueError(
                f"a mask threshold of {self.threshold} gives soft masks, which have no RLE: set "
                "MODEL.ROI_MASK_HEAD.POSTPROCESS_MASKS_THRESHOLD between 0 and 1"
            )
        if not masks.is_floating_point():
            raise ValueError(
                f"masks are to be probabilities, got {masks.dtype}: set "
                "MODEL.ROI_MASK_HEAD.POSTPROCESS_MASKS False, which pastes them in the model"
            )
        self._check_numbers(masks, boxes)
        return RleMasks(boxes.size, masks_to_rle(masks[:, 0], boxes.xyxy(), boxes.size, self))

    @staticmethod
    def _check_numbers(masks: Tensor, boxes: BoxList) -> None:
        if len(masks) != len(boxes):
            raise ValueError(f"Masker: {len(masks)} masks for {len(boxes)} boxes")


def make_masker(cfg: CfgNode) -> Masker:
    """Build what pastes the masks of the configured model."""
    head = cfg.MODEL.ROI_MASK_HEAD
    return Masker(head.POSTPROCESS_MASKS_THRESHOLD, aligned=head.PASTE_ALIGNED)
