"""Masks in the frame of their boxes to masks in the frame of the image, as pixels or as COCO RLE.

Letters: R masks, M their side, H and W the image's height and width.
"""

import torch
from torch import Tensor

from maskrcnn_benchmark.layers import _mask_fallback, _ops
from maskrcnn_benchmark.layers.paste_rule import PasteRule, check_pasting


def paste_masks(
    masks: Tensor, boxes: Tensor, image_size: tuple[int, int], rule: PasteRule
) -> Tensor:
    """Paste each mask into an image of its own.

    Args:
        masks: probabilities ``[R, M, M]``, floating; computed in float.
        boxes: ``[R, 4]`` in pixels, floating. A box with a coordinate that is infinite, NaN or
            beyond 2^30 has no pixels.
        image_size: ``(width, height)``.
        rule: see there.

    Returns:
        bool ``[R, H, W]``, or uint8 if the threshold is negative.

    Raises:
        ValueError: shapes, dtypes or devices do not fit, or the rule is none.
    """
    check_pasting("paste_masks", masks, boxes, image_size, rule)
    width, height = image_size
    if _ops.serves(masks):
        return torch.ops.maskrcnn_benchmark.paste_masks(
            masks.detach(),
            boxes.detach(),
            height,
            width,
            rule.threshold,
            rule.padding,
            rule.aligned,
        )
    return _mask_fallback.paste_masks(masks.detach(), boxes.detach(), image_size, rule)


def masks_to_rle(
    masks: Tensor, boxes: Tensor, image_size: tuple[int, int], rule: PasteRule
) -> list[str]:
    """Paste each mask and encode it as COCO's compressed RLE, without a plane of the image's size.

    The pixels are those of `paste_masks`, to the last. Tensors on another device than the CPU are
    copied there first.

    Args:
        masks: as in `paste_masks`.
        boxes: as in `paste_masks`.
        image_size: ``(width, height)``.
        rule: its threshold must not be negative.

    Returns:
        The ``counts`` of each mask, ``[R]``.

    Raises:
        ValueError: shapes, dtypes or devices do not fit, or the rule gives no binary masks.
    """
    check_pasting("masks_to_rle", masks, boxes, image_size, rule)
    if rule.threshold < 0:
        raise ValueError(f"masks_to_rle: expected threshold >= 0, got {rule.threshold}")
    masks, boxes = masks.detach().cpu(), boxes.detach().cpu()
    if not _ops.serves(masks):
        return _mask_fallback.masks_to_rle(masks, boxes, image_size, rule)
    width, height = image_size
    counts, starts = torch.ops.maskrcnn_benchmark.masks_to_rle(
        masks, boxes, height, width, rule.threshold, rule.padding, rule.aligned
    )
    text, places = counts.numpy().tobytes().decode("ascii"), starts.tolist()
    return [text[start:end] for start, end in zip(places, places[1:], strict=False)]
