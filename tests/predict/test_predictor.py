"""The predictor against the evaluation path, and all its call signatures."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from safetensors.torch import save_file

from maskrcnn_benchmark.config import cfg as global_cfg
from maskrcnn_benchmark.data import make_data_loader
from maskrcnn_benchmark.engine.inference import compute_on_dataset
from maskrcnn_benchmark.evaluation.coco_eval import detection_rows
from maskrcnn_benchmark.predict.prediction import Prediction
from maskrcnn_benchmark.predict.predictor import Predictor, draw
from maskrcnn_benchmark.predict.results_file import ResultsFile, load_results_file
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.class_names import COCO_CLASSES
from maskrcnn_benchmark.structures.mask_paste import Masker
from tests.data.helpers import square, write_coco
from tests.evaluation.dataset import StandInDataset
from tests.helpers.tiny_detector import save_checkpoint, tiny_config, tiny_tree

SIZES = ((100, 80), (60, 120), (33, 31))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save_checkpoint(tmp_path_factory.mktemp("model"), tiny_config(), ["cat", "dog"])


@pytest.fixture(scope="module")
def predictor(checkpoint):
    return Predictor.from_checkpoint(checkpoint)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    images = [(width, height, [square(2, 3, 20)]) for width, height in SIZES]
    return write_coco(tmp_path_factory.mktemp("data"), images)


@pytest.fixture(scope="module")
def paths(data):
    return [data[1] / f"{number}.png" for number in range(len(SIZES))]


def assert_same(one, other):
    assert one.size == other.size
    assert list(one.names) == list(other.names)
    assert one.rles() == other.rles()
    for name in ("boxes", "labels", "scores", "mask_ious", "mask_scores"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-6, atol=1e-5)


def test_predictions_equal_those_of_the_evaluation(predictor, data, paths):
    annotations, folder = data
    cfg = tiny_config()
    files = {"ANN_FILE": str(annotations), "IMG_DIR": str(folder)}
    cfg.merge_from_other_cfg({"DATASETS": {"TEST": ("own",), "CUSTOM": {"own": files}}})
    cfg.merge_from_list(["TEST.IMS_PER_BATCH", 1, "DATALOADER.NUM_WORKERS", 0])
    (loader,) = make_data_loader(cfg, is_train=False)
    dataset = loader.dataset
    found = compute_on_dataset(predictor.model, loader, "cpu", Masker(0.5, padding=1))
    in_order = [found[index] for index in range(len(dataset))]
    rows = detection_rows(dataset, in_order, ("bbox", "segm"), Masker())
    boxes, masks = rows["bbox"], rows["segm"]
    predictions = [
        predictor(folder / dataset.get_img_info(index)["file_name"])
        for index in range(len(dataset))
    ]
    assert len(boxes) == sum(map(len, predictions)) == 18
    np.testing.assert_allclose(
        [row["score"] for row in boxes], np.concatenate([p.scores for p in predictions])
    )
    np.testing.assert_allclose(
        [row["score"] for row in masks], np.concatenate([p.mask_scores for p in predictions])
    )
    assert [row["segmentation"] for row in masks] == [r for p in predictions for r in p.rles()]
    corners = np.concatenate([p.boxes for p in predictions])
    xywh = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2] + 1], axis=1)
    np.testing.assert_allclose([row["bbox"] for row in boxes], xywh, rtol=1e-6)


def test_predictions_can_be_evaluated(predictor, data):
    annotations, folder = data
    dataset = StandInDataset(json.loads(annotations.read_text()))
    paths = [folder / dataset.get_img_info(i)["file_name"] for i in range(len(dataset))]
    found = [prediction.detections for prediction in predictor(paths)]
    rows = detection_rows(dataset, found, ("bbox", "segm"), Masker())
    predictions = predictor(paths)
    assert [row["segmentation"] for row in rows["segm"]] == [
        rle for prediction in predictions for rle in prediction.rles()
    ]
    for key, name in (("score", "mask_scores"), ("mask_iou", "mask_ious")):
        values = np.concatenate([getattr(prediction, name) for prediction in predictions])
        np.testing.assert_array_equal([row[key] for row in rows["segm"]], values)
    assert np.shares_memory(predictions[0].scores, predictions[0].detections.get_field("scores"))


def test_results_are_in_the_pixels_of_the_image(predictor, paths):
    for size, prediction in zip(SIZES, predictor(paths), strict=True):
        assert prediction.size == size
        assert prediction.masks().shape == (6, size[1], size[0])
        assert prediction.soft_masks.shape == (6, 12, 12)
        assert (prediction.boxes[:, 2:] <= np.array(size)).all()
        for mask, (x1, y1, x2, y2) in zip(prediction.masks(), prediction.boxes, strict=True):
            ys, xs = mask.nonzero()
            assert mask.any()
            assert xs.min() >= x1 - 3
            assert xs.max() <= x2 + 3
            assert ys.min() >= y1 - 3
            assert ys.max() <= y2 + 3
        np.testing.assert_allclose(
            prediction.mask_scores, prediction.scores * prediction.mask_ious, rtol=1e-6
        )


def test_paths_images_and_arrays_are_equivalent(predictor, paths):
    image = Image.open(paths[0])
    expected = predictor(paths[0])
    for source in (str(paths[0]), image, np.asarray(image), image.convert("RGBA")):
        assert_same(predictor(source), expected)
    gray = image.convert("L")
    assert_same(predictor(np.asarray(gray)), predictor(gray.convert("RGB")))


def test_a_list_gives_a_list_for_any_batch_size(predictor, paths):
    one_by_one = [predictor(path) for path in paths]
    for prediction, expected in zip(predictor(paths), one_by_one, strict=True):
        assert_same(prediction, expected)
    same_size = [paths[0]] * 3
    for prediction in predictor(same_size, batch_size=2):
        assert_same(prediction, one_by_one[0])
    for prediction, expected in zip(predictor(paths, batch_size=2), one_by_one, strict=True):
        assert_same(prediction, expected)  # each of another size, so each is computed alone
    assert predictor([]) == []
    with pytest.raises(ValueError, match="batch_size is 0"):
        predictor(paths, batch_size=0)


def test_each_image_of_a_batch_gets_its_own_prediction(predictor, paths):
    image = Image.open(paths[0]).convert("RGB")
    noise = np.random.default_rng(2).integers(256, size=(80, 100, 3), dtype=np.uint8)
    images = [image, Image.fromarray(noise), image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    images += [Image.fromarray(255 - noise)]  # all of one size, so that they are one batch
    alone = [predictor(each) for each in images]
    for index, other in enumerate(alone):
        assert all(np.abs(other.boxes - a.boxes).max() > 1 for a in alone[:index])
    together = predictor(images, batch_size=4)
    for found, expected in zip(together, alone, strict=True):
        np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-3)
        np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-4)


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("threshold", [0.3, 0.7])
def test_the_pasting_rule_of_the_model_is_used(checkpoint, paths, threshold, aligned):
    head = "MODEL.ROI_MASK_HEAD"
    opts = [f"{head}.POSTPROCESS_MASKS_THRESHOLD", threshold, f"{head}.PASTE_ALIGNED", aligned]
    found = Predictor.from_checkpoint(checkpoint, opts=opts)(paths[0])
    soft, boxes = torch.from_numpy(found.soft_masks)[:, None], BoxList(found.boxes, found.size)
    expected = Masker(threshold, aligned=aligned).forward_single_image(soft, boxes)[:, 0].numpy()
    np.testing.assert_array_equal(found.masks(), expected)
    assert not np.array_equal(
        Masker(0.5, aligned=aligned).forward_single_image(soft, boxes)[:, 0], expected
    )
    for index in range(len(found)):  # what is drawn
        np.testing.assert_array_equal(found.mask(index, found.size[::-1]), expected[index])


def test_a_stream_reads_no_further_than_its_batch(predictor, paths):
    asked = []

    def sources():
        for path in paths:
            asked.append(path)
            yield path

    stream = predictor.stream(sources(), batch_size=2)
    next(stream)
    assert asked == paths[:2]


def test_selection_and_ranking(predictor, paths):
    prediction = predictor(paths[0])
    for key, attribute in (("mask_score", "mask_scores"), ("mask_iou", "mask_ious")):
        values = getattr(prediction, attribute)
        threshold = float(np.median(values))
        chosen = prediction.select(key, threshold)
        order = sorted(np.flatnonzero(values >= threshold), key=lambda row: -values[row])
        np.testing.assert_array_equal(getattr(chosen, attribute), values[order])
        np.testing.assert_array_equal(chosen.boxes, prediction.boxes[order])
        assert chosen.rles() == [prediction.rles()[row] for row in order]
        assert len(chosen.names) == len(chosen) == len(order) < len(prediction)
    np.testing.assert_array_equal(
        prediction.select().mask_scores, -np.sort(-prediction.mask_scores)
    )
    assert len(prediction.select(threshold=99)) == 0
    with pytest.raises(ValueError, match="'best' is none of score, mask_iou, mask_score"):
        prediction.select("best")


def test_polygons_give_the_masks_back(predictor, paths):
    prediction = predictor(paths[1])
    width, height = prediction.size
    for mask, polygons in zip(prediction.masks(), prediction.polygons(), strict=True):
        rle = coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))
        again = coco_mask.decode(rle).astype(bool)
        assert (mask & again).sum() > 0.9 * (mask | again).sum()


def test_no_detections(predictor, paths, tmp_path):
    nothing = predictor(paths[0]).select(threshold=99)
    assert nothing.masks().shape == (0, 80, 100)
    assert nothing.rles() == nothing.polygons() == []
    picture = draw(paths[0], nothing, long_side=0)
    np.testing.assert_array_equal(np.asarray(picture), np.asarray(Image.open(paths[0])))
    file = ResultsFile(*predictor.classes)
    file.add("0.png", nothing)
    file.write(tmp_path / "none.json")
    ((_, again),) = load_results_file(tmp_path / "none.json")
    assert_same(again, nothing)


@pytest.mark.parametrize(
    ("switches", "known"),
    [({"MASKIOU_ON": False}, {"soft_masks"}), ({"MASKIOU_ON": False, "MASK_ON": False}, set())],
)
def test_models_without_mask_scores_or_masks(switches, known, paths, tmp_path):
    predictor = Predictor.from_checkpoint(save_checkpoint(tmp_path, tiny_config(**switches)))
    prediction = predictor(paths[0])
    for name in ("soft_masks", "mask_ious", "mask_scores"):
        assert (getattr(prediction, name) is not None) == (name in known)
    assert (prediction.masks() is not None) == bool(known)
    best = prediction.select()
    np.testing.assert_array_equal(best.scores, -np.sort(-prediction.scores))
    with pytest.raises(ValueError, match="no mask_iou; use the score key 'score'"):
        prediction.select("mask_iou")
    assert np.asarray(draw(paths[0], prediction)).std() > 0
    file = ResultsFile(*predictor.classes)
    file.add("0.png", prediction)
    file.write(tmp_path / "found.json")
    ((_, again),) = load_results_file(tmp_path / "found.json")
    np.testing.assert_array_equal(again.scores, prediction.scores)
    assert again.mask_ious is None
    assert (again.rles() is not None) == bool(known)


def test_json_round_trip_is_coco(predictor, paths, tmp_path):
    file = ResultsFile(*predictor.classes)
    predictions = predictor(paths)
    for number, prediction in enumerate(predictions):
        file.add(f"{number}.png", prediction, frame=number)
    file.write(tmp_path / "deep" / "predictions.json")
    loaded = load_results_file(tmp_path / "deep" / "predictions.json")
    assert [(e["file_name"], e["frame"]) for e, _ in loaded] == [
        (f"{number}.png", number) for number in range(3)
    ]
    for (_, again), prediction in zip(loaded, predictions, strict=True):
        assert_same(again, prediction)
    coco = COCO(tmp_path / "deep" / "predictions.json")
    first = predictions[0]
    annotations = coco.loadAnns(coco.getAnnIds(imgIds=1))
    np.testing.assert_array_equal([coco.annToMask(a) for a in annotations], first.masks())
    assert [a["area"] for a in annotations] == first.masks().sum(axis=(1, 2)).tolist()
    assert coco.cats == {7: {"id": 7, "name": "cat"}, 9: {"id": 9, "name": "dog"}}
    assert [a["category_id"] for a in annotations] == [(7, 9)[n - 1] for n in first.labels]
    assert len(coco.loadRes(coco.dataset["annotations"]).anns) == 18
    (tmp_path / "other.json").write_text(json.dumps({"images": []}))
    with pytest.raises(ValueError, match=r"other.json is not a JSON of predictions: .*categories"):
        load_results_file(tmp_path / "other.json")


@pytest.mark.parametrize("offset", [0, 1])
def test_a_json_has_the_sizes_of_the_box_convention(tmp_path, offset):
    boxes = BoxList([[10.0, 20, 30, 60]], (100, 80), pixel_offset=offset)
    boxes.add_field("labels", torch.tensor([1]))
    boxes.add_field("scores", torch.tensor([0.5]))
    file = ResultsFile(["__background__", "cat"], [7])
    file.add("a.png", Prediction(boxes, ["__background__", "cat"]))
    file.write(tmp_path / "a.json")
    row = json.loads((tmp_path / "a.json").read_text())["annotations"][0]
    assert row["bbox"] == [10, 20, 20 + offset, 40 + offset]


def test_the_checkpoint_alone_is_enough(predictor, checkpoint, monkeypatch):
    assert predictor.classes.class_names == ["__background__", "cat", "dog"]
    # what someone merged into the global config does not matter
    monkeypatch.setitem(global_cfg.MODEL.RESNETS, "RES2_OUT_CHANNELS", 64)
    own = Predictor.from_checkpoint(checkpoint, opts=["INPUT.MIN_SIZE_TEST", 32])
    assert own.transforms.transforms[0].min_sizes == [32]
    assert predictor.transforms.transforms[0].min_sizes == [64]


def test_weights_without_a_config_need_one_and_get_class_names(checkpoint, paths, tmp_path):
    state = torch.load(checkpoint, weights_only=True)["model"]
    old, converted = tmp_path / "original.pth", tmp_path / "converted.safetensors"
    torch.save({"model": {f"module.{name}": t for name, t in state.items()}}, old)
    save_file({name: t.contiguous() for name, t in state.items()}, converted)
    yaml = tmp_path / "config.yaml"
    yaml.write_text(json.dumps(tiny_tree()))  # JSON is YAML
    for path in (old, converted):
        with pytest.raises(ValueError, match="does not contain its config: specify the"):
            Predictor.from_checkpoint(path)
        predictor = Predictor.from_checkpoint(path, config_file=yaml)
        assert predictor.classes.class_names == ["__background__", "class 1", "class 2"]
        expected = Predictor.from_checkpoint(checkpoint)(paths[0])
        np.testing.assert_array_equal(predictor(paths[0]).boxes, expected.boxes)
    named = Predictor.from_checkpoint(old, config_file=yaml, class_names=["cat"])
    assert named.classes.class_names == ["__background__", "cat", "class 2"]
    with pytest.raises(ValueError, match="3 class names for a model of 2: "):
        Predictor.from_checkpoint(old, config_file=yaml, class_names=["a", "b", "c"])


def test_a_model_of_81_classes_knows_coco(tmp_path):
    predictor = Predictor.from_checkpoint(save_checkpoint(tmp_path, tiny_config(classes=81)))
    assert predictor.classes == COCO_CLASSES
    names, ids = predictor.classes
    assert (len(names), names[1], names[-1]) == (81, "person", "toothbrush")
    assert (len(ids), ids[0], ids[11], ids[-1]) == (80, 1, 13, 90)


def test_weights_that_do_not_fit_are_refused(checkpoint, tmp_path):
    content = torch.load(checkpoint, weights_only=True)
    del content["model"]["roi_heads.box.predictor.cls_score.weight"]
    torch.save(content, tmp_path / "part.pth")
    with pytest.raises(ValueError, match=r"part.pth does not contain the whole model: loaded"):
        Predictor.from_checkpoint(tmp_path / "part.pth")
    with pytest.raises(FileNotFoundError, match=r"nowhere.pth"):
        Predictor.from_checkpoint(tmp_path / "nowhere.pth")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_reported(checkpoint):
    with pytest.raises(ValueError, match="cuda:1, but no GPU is available: use cpu"):
        Predictor.from_checkpoint(checkpoint, device="cuda:1")


def test_the_mode_of_the_model_is_restored(predictor, paths):
    predictor.model.train()
    assert len(predictor(paths[0])) == 6
    assert predictor.model.training
    predictor.model.eval()
