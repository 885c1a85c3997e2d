"""``catalog://`` models of other projects, served locally, through the tools."""

import hashlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import yaml
from PIL import Image
from torchvision.models import detection

from maskrcnn_benchmark.checkpoint.checkpointer import DetectronCheckpointer
from maskrcnn_benchmark.checkpoint.convert import output, published
from maskrcnn_benchmark.checkpoint.convert.published import local_weights
from maskrcnn_benchmark.config import make_default_config
from maskrcnn_benchmark.config.paths_catalog import ModelCatalog
from maskrcnn_benchmark.modeling.detector import build_detection_model
from maskrcnn_benchmark.predict.predictor import Predictor
from maskrcnn_benchmark.structures.class_names import COCO_CATEGORY_IDS, COCO_NAMES
from tests.checkpoint.convert.test_naming import synthetic, with_classes
from tests.checkpoint.convert.test_styles import calibrated
from tests.helpers.file_server import serve
from tests.helpers.pickles import python2_pickle
from tests.helpers.torchvision_detector import torchvision_detector
from tests.helpers.whole_check import check_whole

ROOT = Path(__file__).parents[2]
NAME = "mmdetection/ms-rcnn_r50-caffe_fpn_1x"
WEIGHTS = f"catalog://{NAME}"
SMALL = ["INPUT.MIN_SIZE_TEST", "64", "INPUT.MAX_SIZE_TEST", "96"]
CONFIG_TEXT = """\
model = dict(
    type='MaskScoringRCNN',
    pretrained='open-mmlab://detectron2/resnet50_caffe',
    backbone=dict(type='ResNet', depth=50, frozen_stages=1, style='caffe'),
    test_cfg=dict(rcnn=dict(score_thr=0.02, max_per_img=9)))
img_norm_cfg = dict(
    mean=[103.53, 116.28, 123.675], std=[1.0, 1.0, 1.0], to_rgb=False)
"""


@pytest.fixture(scope="module")
def content():
    """A file of the published layout: thin, with random weights, ``meta`` as mmcv 1.x wrote it."""
    state = calibrated(with_classes(synthetic("mmdetection", 50, maskiou=True)[0], 80))
    torch.manual_seed(4)
    for name, tensor in state.items():  # scores and masks that differ, of pixels up to 255
        if "fc_cls" in name or "conv_logits" in name or "fc_mask_iou" in name:
            state[name] = torch.randn(tensor.shape) * 0.02
    meta = {"mmdet_version": "2.1.0+abc", "config": CONFIG_TEXT, "CLASSES": tuple(COCO_NAMES)}
    file = io.BytesIO()
    torch.save({"meta": meta, "state_dict": state, "optimizer": None}, file)
    return file.getvalue()


@pytest.fixture
def server(content):
    with serve() as running:
        running.content = content
        yield running


@pytest.fixture
def catalog(server, tmp_path):
    """A catalog whose addresses begin with the local server's, and the file's right hash."""

    def write(sha256=None):
        digits = sha256 or hashlib.sha256(server.content).hexdigest()[:8]
        path = tmp_path / "catalog.py"
        path.write_text(
            "from maskrcnn_benchmark.config.paths_catalog import DatasetCatalog\n"
            "from maskrcnn_benchmark.config.paths_catalog import ModelCatalog as Shipped\n"
            "class ModelCatalog(Shipped):\n"
            f"    PUBLISHED = {{name: '{server.url}/v2.0/' + url.split('/')[-1]"
            f".replace('61c9355e', '{digits}') for name, url in Shipped.PUBLISHED.items()}}\n"
        )
        return path

    return write


def names(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_a_download_that_broke_off_goes_on_and_the_model_is_kept_with_its_config(
    server, catalog, tmp_path, caplog
):
    server.cuts = [len(server.content) // 2, 0]
    cache = tmp_path / "cache"
    with pytest.raises(ConnectionError, match="Run again to resume the download"):
        local_weights(WEIGHTS, cache, catalog())
    with caplog.at_level("INFO"):
        path = local_weights(WEIGHTS, cache, catalog())
    assert server.requests[-1]["Range"] == f"bytes={len(server.content) // 2}-"
    assert path == cache / f"{NAME}.pth"
    assert names(cache / "mmdetection") == [
        "ms-rcnn_r50-caffe_fpn_1x.pth",
        "ms-rcnn_r50-caffe_fpn_1x.yaml",
    ]
    assert f"{WEIGHTS}: style caffe, read from the file: BGR of 0 to 255, mean 103" in caplog.text
    read = torch.load(path, weights_only=True)
    assert read["class_names"] == ["__background__", *COCO_NAMES]
    assert read["category_ids"] == COCO_CATEGORY_IDS
    assert yaml.safe_load(read["config"]) == yaml.safe_load(path.with_suffix(".yaml").read_text())
    assert yaml.safe_load(read["config"])["MODEL"]["MASKIOU_ON"]
    before = len(server.requests)
    stamp = path.stat().st_mtime_ns
    local_weights(WEIGHTS, cache, catalog())
    assert len(server.requests) == before and path.stat().st_mtime_ns == stamp


def test_a_file_of_another_hash_is_not_used(catalog, tmp_path):
    with pytest.raises(ValueError, match=r"a file with sha256 [0-9a-f]{64}; it was deleted"):
        local_weights(WEIGHTS, tmp_path / "cache", catalog("0" * 8))
    assert not [name for name in names(tmp_path / "cache") if name.endswith((".pth", ".yaml"))]


def test_a_file_that_cannot_be_converted_is_named(server, catalog, tmp_path):
    file = io.BytesIO()
    torch.save({"state_dict": {"a.weight": torch.ones(1)}}, file)
    server.content = file.getvalue()
    with pytest.raises(ValueError, match=r"61c9355e|[0-9a-f]{8}\.pth: these are not weights"):
        local_weights(WEIGHTS, tmp_path / "cache", catalog())


def test_an_interrupted_conversion_leaves_nothing_half_written(
    server, catalog, tmp_path, monkeypatch
):
    def interrupted(content, file):
        file.write(b"half")
        raise KeyboardInterrupt

    cache = tmp_path / "cache"
    with monkeypatch.context() as patch:
        patch.setattr(output.torch, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            local_weights(WEIGHTS, cache, catalog())
    assert not (cache / f"{NAME}.pth").exists()
    path = local_weights(WEIGHTS, cache, catalog())
    assert len(server.requests) == 1
    assert torch.load(path, weights_only=True)["converted_from"] == "mmdetection"


def _process(rank, folder, catalog_file):
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    made = []
    published.write_conversion = lambda *a, **k: (made.append(1), output.write_conversion(*a, **k))
    assert local_weights(WEIGHTS, f"{folder}/cache", catalog_file).is_file()
    assert len(made) == (1 if rank == 0 else 0)
    dist.destroy_process_group()


def test_one_process_of_a_job_downloads_and_converts(server, catalog, tmp_path):
    mp.spawn(_process, args=(str(tmp_path), str(catalog())), nprocs=2)
    assert len(server.requests) == 1


def write_data(folder, categories):
    """Write two images with two objects each in COCO format; return annotation file and folder."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for number in (1, 2):
        pixels = rng.integers(256, size=(64, 72, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": 72, "height": 64})
        for x, (category, _) in zip((4, 30), categories, strict=False):
            box, outline = [x, 5, 30, 40], [x, 5, x + 30, 5, x + 30, 45, x, 45]
            annotations.append(
                {"id": len(annotations) + 1, "image_id": number, "category_id": category}
                | {"bbox": box, "area": 1200, "iscrowd": 0, "segmentation": [outline]}
            )
    classes = [{"id": number, "name": name} for number, name in categories]
    path = folder / "ann.json"
    tree = {"images": images, "annotations": annotations, "categories": classes}
    path.write_text(json.dumps(tree))
    return str(path), str(folder / "images")


def run(tool, *arguments, fails=False):
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / tool), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (done.returncode != 0) is fails, done.stdout + done.stderr
    return done


def test_the_command_of_a_newcomer(catalog, tmp_path):
    photo = tmp_path / "photo.jpg"
    pixels = np.random.default_rng(1).integers(256, size=(80, 100, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(photo)
    cache = ["PATHS_CATALOG", catalog(), "MODEL.PRETRAINED_MODELS", tmp_path / "cache"]
    arguments = ["--weights", WEIGHTS, "--input", photo, "--output", tmp_path / "out"]
    more = ["--device", "cpu", "--threshold", 0, "--opts", *cache, *SMALL]
    done = run("predict.py", *arguments, *more)
    assert "style caffe, read from the file" in done.stderr
    assert names(tmp_path / "out") == ["photo.png", "predictions.json"]
    tree = json.loads((tmp_path / "out" / "predictions.json").read_text())
    found = tree["annotations"]
    # as many as the file's test_cfg says, and what has the last one's score
    assert 2 < len({row["score"] for row in found}) <= 9
    for row in found:
        assert 0.02 < row["score"] <= 1 and 0 <= row["mask_score"] != row["score"]
        assert row["category_id"] in COCO_CATEGORY_IDS
    assert [c["name"] for c in tree["categories"]] == COCO_NAMES


def test_evaluation_and_fine_tuning_by_the_same_name(server, catalog, tmp_path):
    coco = write_data(tmp_path / "coco", list(zip(COCO_CATEGORY_IDS, COCO_NAMES, strict=True)))
    common = ["MODEL.WEIGHT", WEIGHTS, "PATHS_CATALOG", catalog(), "MODEL.DEVICE", "cpu"]
    common += ["MODEL.PRETRAINED_MODELS", tmp_path / "cache", "DATALOADER.NUM_WORKERS", 0, *SMALL]
    done = run("test_net.py", "--register", "tiny", *coco, *common, "OUTPUT_DIR", tmp_path / "a")
    yaml_file = tmp_path / "cache" / f"{NAME}.yaml"
    assert f"No --config-file: using {yaml_file} as the base config" in done.stdout
    results = json.loads((tmp_path / "a/inference/tiny/results.json").read_text())["results"]
    assert {"bbox", "segm", "segm_by_class_score"} <= set(results)

    own = write_data(tmp_path / "own", [(1, "cell"), (2, "nucleus")])
    train = ["SOLVER.IMS_PER_BATCH", 2, "SOLVER.MAX_ITER", 2, "SOLVER.BASE_LR", 1e-5]
    train += ["SOLVER.STEPS", "(2,)", "INPUT.MIN_SIZE_TRAIN", 64, "INPUT.MAX_SIZE_TRAIN", 96]
    arguments = ["--skip-test", "--register", "own", *own, *common, *train]
    done = run("train_net.py", *arguments, "OUTPUT_DIR", tmp_path / "b")
    assert "Fine-tuning for other classes: it has 80 classes" in done.stdout
    assert len(server.requests) == 1
    trained = torch.load(tmp_path / "b" / "model_final.pth", weights_only=True)
    assert trained["class_names"] == ["__background__", "cell", "nucleus"]
    kept = "backbone.body.layer1.0.conv1.weight"  # frozen
    original = torch.load(tmp_path / "cache" / f"{NAME}.pth", weights_only=True)["model"]
    assert trained["model"][kept].equal(original[kept])

    config = ROOT / "configs" / "e2e_ms_rcnn_R_50_FPN_1x.yaml"
    other = ["--config-file", config, "--register", "tiny", *coco, *common]
    done = run("test_net.py", *other, "OUTPUT_DIR", tmp_path / "c", fails=True)
    assert done.returncode == 2
    error = done.stderr.strip().splitlines()[-1]
    assert error.startswith("error: ") and "MODEL.PIXEL_OFFSET 1.0, not 0.0" in error
    assert f"Use --config-file {yaml_file}" in error


def test_predictor_and_a_config_that_does_not_fit(catalog, tmp_path):
    cache = ["PATHS_CATALOG", str(catalog()), "MODEL.PRETRAINED_MODELS", str(tmp_path / "cache")]
    predictor = Predictor.from_checkpoint(WEIGHTS, opts=[*cache, *SMALL], device="cpu")
    assert predictor.classes.class_names[1:] == COCO_NAMES
    assert predictor.model.roi_heads.maskiou is not None
    path = tmp_path / "cache" / f"{NAME}.pth"
    cfg = make_default_config()
    cfg.merge_from_file(path.with_suffix(".yaml"))
    for changes, problem in (
        ([], None),
        (["MODEL.ROI_HEADS.SCORE_THRESH", 0.3, "INPUT.MIN_SIZE_TEST", 400], None),
        (["INPUT.TO_BGR255", False], "INPUT.TO_BGR255 False, not True"),
        (["MODEL.RESNETS.STRIDE_IN_1X1", False], "STRIDE_IN_1X1 False, not True"),
        (["MODEL.ROI_MASK_HEAD.POOLER_ALIGNED", False], "ALIGNED False, not True"),
    ):
        changed = cfg.clone()
        changed.merge_from_list(changes)
        check_whole(changed)
        checkpointer = DetectronCheckpointer(changed, build_detection_model(changed))
        if problem is None:
            checkpointer.load(path, require_all=True)
            continue
        for require_all in (True, False):
            with pytest.raises(ValueError, match=problem):
                checkpointer.load(path, require_all=require_all)


@pytest.mark.parametrize("model", ["mask_rcnn_R_50_FPN_noaug_1x", "mask_rcnn_R_50_FPN_1x"])
def test_detectron2s_models_are_pooled_as_they_were_trained(tmp_path, model):
    state = with_classes(synthetic("detectron2", 50)[0], 80)
    arrays = {name: tensor.numpy() for name, tensor in state.items()}
    (tmp_path / "in.pkl").write_bytes(python2_pickle({"model": arrays, "__author__": "someone"}))
    (tmp_path / "catalog.py").write_text(
        f"class ModelCatalog:\n    get = staticmethod(lambda name: {str(tmp_path / 'in.pkl')!r})\n"
    )
    is_noaug = "noaug" in model
    folder = "Detectron1-Comparisons" if is_noaug else "COCO-InstanceSegmentation"
    name = f"catalog://detectron2/{folder}/{model}"
    path = local_weights(name, tmp_path / "cache", tmp_path / "catalog.py")
    assert path == tmp_path / "cache" / "detectron2" / folder / f"{model}.pth"
    tree = yaml.safe_load(path.with_suffix(".yaml").read_text())
    for head in ("ROI_BOX_HEAD", "ROI_MASK_HEAD"):
        options = tree["MODEL"][head]
        pooled = (options["POOLER_ALIGNED"], options["POOLER_SAMPLING_RATIO"])
        assert pooled == ((False, 2) if is_noaug else (True, 0))
    assert tree["MODEL"]["RESNETS"]["STRIDE_IN_1X1"] and tree["INPUT"]["TO_BGR255"]
    assert not tree["MODEL"]["MASKIOU_ON"]
    assert torch.load(path, weights_only=True)["class_names"][1:] == COCO_NAMES


def test_a_weights_enum_of_torchvision_is_a_second_name_of_the_same_file(tmp_path):
    torch.save(torchvision_detector(91, version=2).state_dict(), tmp_path / "in.pth")
    (tmp_path / "catalog.py").write_text(
        f"class ModelCatalog:\n    get = staticmethod(lambda name: {str(tmp_path / 'in.pth')!r})\n"
    )
    found = [
        local_weights(f"catalog://torchvision/{name}", tmp_path / "cache", tmp_path / "catalog.py")
        for name in ("MaskRCNN_ResNet50_FPN_V2_Weights.COCO_V1", "maskrcnn_resnet50_fpn_v2")
    ]
    assert found == [tmp_path / "cache" / "torchvision" / "maskrcnn_resnet50_fpn_v2.pth"] * 2
    assert torch.load(found[0], weights_only=True)["class_names"][1:] == COCO_NAMES
    tree = yaml.safe_load(found[0].with_suffix(".yaml").read_text())
    assert tree["MODEL"]["RPN"]["NUM_CONVS"] == 2 and tree["MODEL"]["FPN"] == {"NORM": "FrozenBN"}


def test_every_published_model_is_in_the_catalog_with_its_hash():
    models = published.published_models()
    assert len(models) == 35
    assert len(ModelCatalog.PUBLISHED) == 35 + 4  # torchvision's have two names
    for name, model in models.items():
        address = ModelCatalog.get(name)
        assert address == model.url + (f"#sha256={model.sha256_prefix}" * bool(model.sha256_prefix))
        if model.project != "detectron2":
            assert model.url.endswith(f"-{model.sha256_prefix}.pth")
        caffe = "caffe" in name or (model.project == "detectron2" and "X_101" not in name)
        assert (model.style in ("caffe", "gn")) is caffe
        assert (model.style == "gn") is name.endswith("_gn")
        assert (model.family == "ms_rcnn") is ("ms-rcnn" in name)
        assert (model.family == "cascade_mask_rcnn") is ("cascade" in name)
        assert (model.family == "faster_rcnn") is (model.mask_ap is None) is ("faster" in name)
        assert model.legacy_roi_align is ("noaug" in name)
    assert models["detectron2/COCO-InstanceSegmentation/mask_rcnn_X_101_32x8d_FPN_3x"].style == (
        "x101-32x8d"
    )
    assert models[NAME].mask_ap == 36.0
    assert models["detectron2/new_baselines/mask_rcnn_R_101_FPN_400ep_LSJ"].mask_ap == 43.7
    installed = (ROOT / "pyproject.toml").read_text()
    assert '"config/model_zoo.json"' in installed


def test_torchvisions_models_are_those_of_its_weights_enums():
    models = {n: m for n, m in published.published_models().items() if m.project == "torchvision"}
    assert len(models) == 4
    for name, model in models.items():
        enum, member = model.enum.split(".")
        weights = getattr(detection, enum)[member]
        assert model.url == weights.url
        metrics = weights.meta["_metrics"]["COCO-val2017"]
        assert (model.box_ap, model.mask_ap) == (metrics["box_map"], metrics.get("mask_map"))
        assert detection.__dict__[model.name] is not None
        second = f"torchvision/{model.enum}"
        assert published.find_published(second) == model == published.find_published(name)
        assert published.is_published(f"catalog://{second}")
        assert ModelCatalog.get(second) == ModelCatalog.get(name)


def test_the_page_lists_every_model():
    page = (ROOT / "MODEL_ZOO.md").read_text()
    for name, model in published.published_models().items():
        masks = "-" if model.mask_ap is None else model.mask_ap
        row = f"| `catalog://{name}` | {model.backbone} | {model.box_ap} | {masks} |"
        assert row in page
    assert page.count("| `catalog://") == 35
