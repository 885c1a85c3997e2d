"""The two rules by which masks are pasted into images, and the checks of what is pasted."""

from dataclasses import dataclass

from torch import Tensor

from maskrcnn_benchmark.layers._checks import check_device, check_floating, check_shape


@dataclass(frozen=True)
class PasteRule:
    """How masks are pasted.

    There are two rules. The original's (Mask R-CNN's reference post-processing) pads the mask by
    ``padding`` cells, expands its box alike, truncates it to whole pixels, both ends included, and
    resizes the mask bilinearly into it. The aligned one (detectron2's and mmdetection's) samples
    the mask bilinearly at the center of each pixel, the box as it is and zeros around it.

    Attributes:
        threshold: pixels above it (strictly; with ``aligned`` also those that equal it) belong to
            the mask; below 0 the result is the soft mask times 255, as uint8.
        padding: cells of zeros around the mask; the aligned rule needs none.
        aligned: take the aligned rule.
    """

    threshold: float = 0.5
    padding: int = 1
    aligned: bool = False


def check_pasting(
    op: str, masks: Tensor, boxes: Tensor, image_size: tuple[int, int], rule: PasteRule
) -> None:
    """Raise ValueError unless masks, boxes, image and rule can be pasted; see `paste_masks`."""
    check_shape(op, "masks", masks, ("R", "M", "M"))
    if masks.shape[1] != masks.shape[2] or masks.shape[1] == 0:
        raise ValueError(f"{op}: expected masks [R, M, M] with M > 0, got {list(masks.shape)}")
    check_shape(op, "boxes", boxes, (masks.shape[0], 4))
    check_floating(op, "masks", masks)
    check_floating(op, "boxes", boxes)
    check_device(op, "boxes", boxes, masks)
    if min(image_size) < 1 or image_size[0] * image_size[1] >= 1 << 31:
        raise ValueError(
            f"{op}: expected image_size (width, height) of 1 to 2^31 pixels, got {image_size}"
        )
    if not 0 <= rule.padding <= 1 << 16:
        raise ValueError(f"{op}: expected padding in [0, 65536], got {rule.padding}")
    if rule.threshold != rule.threshold:
        raise ValueError(f"{op}: expected a threshold that is a number, got {rule.threshold}")
