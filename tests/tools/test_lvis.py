"""Training and evaluation on a small data set in LVIS's format."""

import json
from collections import Counter

import pytest

from maskrcnn_benchmark.data import make_data_loader
from maskrcnn_benchmark.engine.launch import train
from tests.tools.toy import FEW, draw_data, toy_config

RECIPE = "lvis/e2e_ms_rcnn_R_50_FPN_1x_lvis_v1.yaml"


def to_lvis(path, folder):
    """Rewrite a json of COCO's format in LVIS's; the images are at the last two parts of URLs."""
    content = json.loads(path.read_text(encoding="utf-8"))
    annotations = [a for a in content["annotations"] if not a.pop("iscrowd")]
    images_with = Counter(c for _, c in {(a["image_id"], a["category_id"]) for a in annotations})
    for image in content["images"]:
        present = {a["category_id"] for a in annotations if a["image_id"] == image["id"]}
        others = sorted(c["id"] for c in content["categories"] if c["id"] not in present)
        image["coco_url"] = f"https://example.org/{folder}/{image.pop('file_name')}"
        image["neg_category_ids"] = others[::2]
        image["not_exhaustive_category_ids"] = sorted(present)[:1]
    for category in content["categories"]:
        count = images_with[category["id"]]
        category |= {"frequency": "rcf"[min(count // 2, 2)], "image_count": count}
    content["annotations"] = annotations
    path.write_text(json.dumps(content), encoding="utf-8")
    return images_with


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Return the folder, and in how many training images each category is."""
    folder = draw_data(tmp_path_factory.mktemp("lvis"))
    files = {s: folder / "annotations" / f"instances_{s}.json" for s in ("train", "val")}
    return folder, {split: to_lvis(path, split) for split, path in files.items()}


def config(folder, output, **changes):
    factories = {f"DATASETS__CUSTOM__toy_{s}__FACTORY": "LVISDataset" for s in ("train", "val")}
    images = {f"DATASETS__CUSTOM__toy_{s}__IMG_DIR": str(folder) for s in ("train", "val")}
    return toy_config(folder, output, RECIPE, **factories, **images, **FEW, **changes)


def test_a_run_reports_the_metric_of_lvis(data, tmp_path):
    folder, _ = data
    results = train(config(folder, tmp_path))["toy_val"].results
    assert results.keys() == {"bbox", "segm", "segm_by_class_score"}
    for task, metrics in results.items():
        assert {"APr", "APc", "APf"} <= metrics.keys(), task
        assert 0 <= metrics["AP"] <= 1, task


def test_images_of_rare_categories_are_repeated(data, tmp_path):
    folder, images_with = data
    threshold = 1.0  # every category in fewer than all six images is rare
    tree = config(folder, tmp_path, DATALOADER__REPEAT_THRESHOLD=threshold, SOLVER__MAX_ITER=300)
    content = json.loads((folder / "annotations" / "instances_train.json").read_text())
    order = sorted(image["id"] for image in content["images"])
    categories = {i: set() for i in order}
    for annotation in content["annotations"]:
        categories[annotation["image_id"]].add(annotation["category_id"])
    expected = {
        i: max((6 / images_with["train"][c]) ** 0.5 for c in found)
        for i, found in categories.items()
    }
    seen = Counter(int(i) for _, _, indices in make_data_loader(tree) for i in indices)
    total, drawn = sum(expected.values()), sum(seen.values())
    for index, image_id in enumerate(order):
        assert seen[index] / drawn == pytest.approx(expected[image_id] / total, abs=0.04)
    assert max(expected.values()) > 1.1 * min(expected.values())
