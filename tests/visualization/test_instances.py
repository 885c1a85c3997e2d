import numpy as np
import pytest
from pycocotools import mask as coco_mask

from maskrcnn_benchmark.visualization import Instances, from_coco_annotations
from maskrcnn_benchmark.visualization.instances import label_text


def _mask() -> np.ndarray:
    mask = np.zeros((20, 30), bool)
    mask[4:12, 5:25] = True
    mask[6:9, 10:14] = False
    return mask


def test_arrays_and_both_rles_are_the_same_mask() -> None:
    mask = _mask()
    compressed = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    flat = mask.ravel(order="F").astype(int)
    counts, value = [0], 0
    for pixel in flat:
        if pixel != value:
            counts.append(0)
            value = pixel
        counts[-1] += 1
    text = {**compressed, "counts": compressed["counts"].decode()}
    masks = [mask, compressed, text, {"size": [20, 30], "counts": counts}]
    instances = Instances(masks=masks)
    assert len(instances) == 4
    for i in range(4):
        assert (instances.mask(i, (20, 30)) == mask).all()


def test_boxes_stand_in_for_masks_and_are_inclusive_and_clipped() -> None:
    instances = Instances(boxes=np.array([[-3.0, 2.0, 4.0, 6.0]]))
    expected = np.zeros((20, 30), bool)
    expected[2:7, 0:5] = True
    assert (instances.mask(0, (20, 30)) == expected).all()


def test_label_contains_known_values() -> None:
    masks = _mask()[None]
    full = Instances(masks=masks, names=["person"], scores=[0.981], mask_ious=[0.706])
    assert label_text(full, 0) == "person cls 0.98 · mask 0.71"
    assert label_text(Instances(masks=masks, names=["person"]), 0) == "person"
    assert label_text(Instances(masks=masks, scores=[0.5]), 0) == "cls 0.50"
    assert label_text(Instances(masks=masks, mask_ious=[0.5]), 0) == "mask 0.50"
    assert label_text(Instances(masks=masks), 0) == ""
    assert label_text(Instances(masks=masks, names=["cup"], is_crowd=[True]), 0) == "cup (crowd)"


def test_wrong_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'masks': 1, 'scores': 2"):
        Instances(masks=_mask()[None], scores=np.ones(2))
    with pytest.raises(ValueError, match="masks or boxes"):
        Instances(scores=np.ones(2))
    with pytest.raises(ValueError, match=r"\(20, 30\).*\(30, 20\)"):
        Instances(masks=_mask()[None]).mask(0, (30, 20))


def test_ground_truth_of_a_coco_file() -> None:
    mask = _mask()
    rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    annotations = [
        {"category_id": 7, "bbox": [2, 3, 10, 5], "segmentation": [[2, 3, 12, 3, 12, 8, 2, 8]]},
        {"category_id": 9, "bbox": [5, 4, 20, 8], "segmentation": rle, "iscrowd": 1},
    ]
    instances = from_coco_annotations(annotations, {9: "dog", 7: "cat"}, (20, 30))
    assert instances.boxes.tolist() == [[2, 3, 11, 7], [5, 4, 24, 11]]
    assert instances.labels.tolist() == [2, 1], "a model's labels, which choose the colors"
    assert label_text(instances, 0) == "cat"
    assert label_text(instances, 1) == "dog (crowd)"
    expected = np.zeros((20, 30), bool)
    expected[3:8, 2:12] = True
    assert (instances.mask(0, (20, 30)) == expected).all()
    assert (instances.mask(1, (20, 30)) == mask).all()
    assert len(from_coco_annotations([], {}, (20, 30))) == 0
