"""The instances left out are exactly those that clipping removes from the target."""

import pytest
import torch

from maskrcnn_benchmark.data.coco_json.learned import Learned, LeftOut, find_left_out
from maskrcnn_benchmark.structures.bounding_box import BoxList


@pytest.mark.parametrize("pixel_offset", [0, 1])
def test_the_target_keeps_learned_instances(pixel_offset):
    generator = torch.Generator().manual_seed(0)
    boxes = torch.rand(4000, 4, generator=generator, dtype=torch.float64)
    boxes = boxes * torch.tensor([70, 50, 4, 4]) - torch.tensor([5, 5, 1, 1])
    boxes[::2] = (boxes[::2] * 4).round() / 4  # many on the border
    boxes[1::2, 2] = 1 + boxes[1::2, 2] * 1e-7  # one pixel or slightly more in float32
    sizes = torch.tensor([[60, 40]]).expand(4000, 2)
    crowd = torch.rand(4000, generator=generator) < 0.1
    found = find_left_out(boxes, sizes, crowd, pixel_offset)
    for box, why, is_crowd in zip(boxes, found.tolist(), crowd.tolist(), strict=True):
        one = BoxList(box[None].float(), (60, 40), "xywh", pixel_offset=pixel_offset)
        kept = len(one.convert("xyxy").clip_to_image(remove_empty=True))
        assert (why == LeftOut.LEARNED) == (kept == 1 and not is_crowd), (box, why)
        assert (why == LeftOut.CROWD) == is_crowd
    expected = set(LeftOut) - ({LeftOut.BELOW_A_PIXEL} if pixel_offset == 0 else set())
    assert set(found.tolist()) == expected


def test_empty_data():
    none = torch.zeros(0, 4, dtype=torch.float64)
    assert len(find_left_out(none, none[:, :2], torch.zeros(0) > 0, 1)) == 0
    assert str(Learned(0, {})) == "0 of 0 instances are learned"
    assert str(Learned(5, {"crowd": 2}, 3)) == (
        "3 of 5 instances are learned; left out: 2 (crowd); none has a mask"
    )
