import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from maskrcnn_benchmark.data.synthetic import write_synthetic_coco
from maskrcnn_benchmark.visualization import load_detections

SCRIPT = Path(__file__).parents[2] / "demo" / "make_figure.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("make_figure", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_figure"] = module  # dataclasses look up their module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["make_figure"]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """Return ground truth as detections; every other mask is halved with a low mask IoU."""
    folder = write_synthetic_coco(tmp_path_factory.mktemp("figure"), num_train=0, num_val=10)
    coco = COCO(folder / "annotations" / "instances_val.json")
    boxes, masks = [], []
    for index, a in enumerate(coco.loadAnns(coco.getAnnIds(iscrowd=False))):
        mask = coco.annToMask(a)
        poor = index % 2 == 1
        if poor:
            mask[:, int(a["bbox"][0] + a["bbox"][2] / 2) :] = 0
        rle = coco_mask.encode(np.asfortranarray(mask))
        common = {"image_id": a["image_id"], "category_id": a["category_id"]}
        boxes.append({**common, "bbox": a["bbox"], "score": 0.95})
        segmentation = {"size": rle["size"], "counts": rle["counts"].decode()}
        iou = 0.5 if poor else 0.9
        row = {**common, "segmentation": segmentation, "score": 0.95 * iou, "mask_iou": iou}
        masks.append(row)
    (folder / "bbox.json").write_text(json.dumps(boxes))
    (folder / "segm.json").write_text(json.dumps(masks))
    return folder, coco


def test_findings_know_the_true_iou(script, evaluated):
    folder, coco = evaluated
    names = {c["id"]: c["name"] for c in coco.dataset["categories"]}
    found = script.findings(coco, load_detections(folder, names))
    good = [f.true_iou for f in found if f.predicted_iou > 0.7]
    poor = [f.true_iou for f in found if f.predicted_iou < 0.7]
    assert len(good) > 5
    assert len(poor) > 5
    assert min(good) == 1.0
    assert max(poor) < 0.9


def test_figure_has_poor_masks_above_good_ones(script, evaluated):
    folder, _ = evaluated
    annotations = folder / "annotations" / "instances_val.json"
    figure = script.make_figure(annotations, folder / "val", folder, columns=2, min_score=0.9)
    assert figure.shape[1] == 2 * 320 + 3 * 8
    assert figure.std() > 20
    with pytest.raises(ValueError, match=r"0\.99"):
        script.make_figure(annotations, folder / "val", folder, columns=2, min_score=0.99)


def test_an_evaluation_without_mask_ious_is_refused(script, evaluated, tmp_path):
    folder, _ = evaluated
    rows = json.loads((folder / "segm.json").read_text())
    for row in rows:
        del row["mask_iou"]
    (tmp_path / "segm.json").write_text(json.dumps(rows))
    (tmp_path / "bbox.json").write_text((folder / "bbox.json").read_text())
    annotations = folder / "annotations" / "instances_val.json"
    with pytest.raises(ValueError, match=r"segm\.json has rows without mask_iou"):
        script.make_figure(annotations, folder / "val", tmp_path, columns=2, min_score=0.9)
