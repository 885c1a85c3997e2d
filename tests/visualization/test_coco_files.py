import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from maskrcnn_benchmark.visualization import load_detections
from maskrcnn_benchmark.visualization.instances import label_text


def _write(folder: Path, boxes: list, masks: list) -> Path:
    (folder / "bbox.json").write_text(json.dumps(boxes))
    (folder / "segm.json").write_text(json.dumps(masks))
    return folder


def _rows(image_id: int, score: float, mask_iou: float) -> tuple[dict, dict]:
    mask = np.zeros((20, 30), np.uint8)
    mask[3:8, 2:12] = 1
    rle = coco_mask.encode(np.asfortranarray(mask))
    common = {"image_id": image_id, "category_id": 7}
    segmentation = {"size": rle["size"], "counts": rle["counts"].decode()}
    return (
        {**common, "bbox": [2, 3, 10, 5], "score": score},
        {**common, "segmentation": segmentation, "score": score * mask_iou, "mask_iou": mask_iou},
    )


def test_detections_by_image_best_class_score_first(tmp_path: Path) -> None:
    rows = [_rows(5, 0.6, 0.5), _rows(9, 0.8, 0.9), _rows(5, 0.9, 0.25), _rows(9, 0.2, 0.95)]
    folder = _write(tmp_path, *(list(part) for part in zip(*rows, strict=True)))
    found = load_detections(folder, {3: "bird", 7: "cat"})
    assert set(found) == {5, 9}
    assert found[5].labels.tolist() == [2, 2], "a model's labels, which choose the colors"
    np.testing.assert_allclose(found[5].scores, [0.9, 0.6])
    assert found[5].mask_ious.tolist() == [0.25, 0.5]
    assert found[5].boxes.tolist() == [[2, 3, 11, 7]] * 2
    assert label_text(found[9], 0) == "cat cls 0.80 · mask 0.90"
    assert found[9].mask(0, (20, 30)).sum() == 50
    assert len(load_detections(folder, {7: "cat"}, min_score=0.0)[9]) == 2
    assert load_detections(folder, {7: "cat"}, min_score=0.95) == {}


def test_rows_of_another_system_have_no_mask_ious(tmp_path: Path) -> None:
    box, mask = _rows(5, 0.6, 0.5)
    del mask["mask_iou"]
    (found,) = load_detections(_write(tmp_path, [box], [mask]), {7: "cat"}).values()
    assert found.mask_ious is None
    assert label_text(found, 0) == "cat cls 0.60"


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    first, second = _rows(5, 0.6, 0.3), _rows(9, 0.8, 0.7)
    with pytest.raises(ValueError, match="1 rows, segm.json 2"):
        load_detections(_write(tmp_path, [first[0]], [first[1], second[1]]), {7: "cat"})
    with pytest.raises(ValueError, match="order"):
        load_detections(_write(tmp_path, [first[0]], [second[1]]), {7: "cat"})
    with pytest.raises(FileNotFoundError):
        load_detections(tmp_path / "nothing", {})
