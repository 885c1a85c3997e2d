"""Operations on one or more ``BoxList`` objects."""

from collections.abc import Sequence

import torch
from torch import Tensor

from maskrcnn_benchmark.layers import nms
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.box_ops import box_iou, box_sizes


def boxlist_nms(
    boxlist: BoxList, nms_thresh: float, max_proposals: int = -1, score_field: str = "scores"
) -> BoxList:
    """Apply non-maximum suppression with IoU threshold ``nms_thresh``.

    The best ``max_proposals`` boxes (all if <= 0) are kept, in the order of ``boxlist``.
    ``nms_thresh <= 0`` disables the suppression.
    """
    if nms_thresh <= 0:
        return boxlist
    scores = boxlist.get_field(score_field)
    offset, most = boxlist.pixel_offset, max(max_proposals, 0)
    keep = nms(boxlist.xyxy(), scores, nms_thresh, max_keep=most, pixel_offset=offset)
    return boxlist[keep.sort().values]


def remove_small_boxes(boxlist: BoxList, min_size: float) -> BoxList:
    """Keep the boxes whose width and height are at least ``min_size`` pixels."""
    widths, heights = box_sizes(boxlist.xyxy(), boxlist.pixel_offset)
    return boxlist[(widths >= min_size) & (heights >= min_size)]


def boxlist_iou(boxlist1: BoxList, boxlist2: BoxList) -> Tensor:
    """Return the pairwise IoU ``[N, M]`` of two lists of boxes in the same image.

    Raises:
        ValueError: their image sizes or box conventions differ.
    """
    if boxlist1.size != boxlist2.size:
        raise ValueError(f"boxlist_iou: image sizes differ: {boxlist1} and {boxlist2}")
    if boxlist1.pixel_offset != boxlist2.pixel_offset:
        raise ValueError(
            f"boxlist_iou: box conventions differ: pixel_offset {boxlist1.pixel_offset:g} "
            f"and {boxlist2.pixel_offset:g}"
        )
    return box_iou(boxlist1.xyxy(), boxlist2.xyxy(), boxlist1.pixel_offset)


def cat_boxlist(boxlists: Sequence[BoxList]) -> BoxList:
    """Concatenate lists of boxes in the same image with the same mode and fields.

    Raises:
        ValueError: image sizes, modes, box conventions or fields differ, or there is no list.
    """
    if not boxlists:
        raise ValueError("cat_boxlist: needs at least one BoxList")
    first = boxlists[0]
    for other in boxlists[1:]:
        same = other.size == first.size and other.mode == first.mode
        same = same and other.pixel_offset == first.pixel_offset
        if not same or set(other.fields()) != set(first.fields()):
            raise ValueError(f"cat_boxlist: {first} and {other} are incompatible")
    boxes = torch.cat([b.bbox for b in boxlists])
    result = BoxList(boxes, first.size, first.mode, pixel_offset=first.pixel_offset)
    for name in first.fields():
        result.add_field(name, torch.cat([b.get_field(name) for b in boxlists]))
    return result
