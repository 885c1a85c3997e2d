"""Predictions in the formats of other tools, read back by these tools."""

import base64
import io
import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO

from maskrcnn_benchmark.predict.prediction import Prediction
from maskrcnn_benchmark.predict.results_file import ResultsFile
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.keypoints import NO_KEYPOINTS, Keypoints, KeypointSet
from maskrcnn_benchmark.structures.rle import encode_rle
from maskrcnn_benchmark.structures.rle_masks import RleMasks
from maskrcnn_benchmark.utils.user_error import MissingPackageError

WIDTH, HEIGHT = SIZE = (50, 30)
NAMES = ["__background__", "hat", 'größe / 帽子 "x"', "class_name"]
SCORES = {"score": [0.5, 0.75, 0.25], "mask_iou": [0.5, 1.25, 1], "mask_score": [0.25, 1, 0.5]}
LABELS = [2, 3, 1]
POINTS = KeypointSet(["nose", "left eye"], [[0, 1]])


def drawn_masks():
    """A ring (with a hole), two parts, and no pixel at all."""
    masks = np.zeros((3, HEIGHT, WIDTH), bool)
    masks[0, 5:15, 3:20] = True
    masks[0, 8:12, 9:13] = False
    masks[1, 0:4, 40:50] = True
    masks[1, 20:30, 30:31] = True
    return masks


def found(offset=1.0, count=3, *, with_masks=True, keypoint_set=NO_KEYPOINTS):
    boxes = torch.tensor([[3.0, 5, 19, 14], [30, 0, 49, 29], [7, 7, 9.5, 20]])[:count]
    boxes = boxes + torch.tensor([0.0, 0, 1, 1]) * (1 - offset)  # the same pixels
    detections = BoxList(boxes, SIZE, pixel_offset=offset)
    detections.add_field("labels", torch.tensor(LABELS)[:count])
    for name, values in zip(("scores", "mask_ious", "mask_scores"), SCORES.values(), strict=True):
        if with_masks or name == "scores":
            detections.add_field(name, torch.tensor(values)[:count])
    if with_masks:
        counts = [encode_rle(mask)["counts"] for mask in drawn_masks()[:count]]
        detections.add_field("rles", RleMasks(SIZE, counts))
    if keypoint_set.keypoint_names:
        points = torch.arange(18.0).reshape(3, 2, 3)
        points[..., 2] = 1
        detections.add_field("keypoints", Keypoints(points[:count], SIZE))
    return Prediction(detections, NAMES, keypoint_set=keypoint_set)


EDGES = [[3, 5, 20, 15], [30, 0, 50, 30], [7, 7, 10.5, 21]]


@pytest.mark.parametrize("offset", [0.0, 1.0])
@pytest.mark.parametrize("count", [3, 0])
def test_supervision_has_everything(offset, count):
    supervision = pytest.importorskip("supervision")
    given = found(offset, count, keypoint_set=POINTS)
    made = given.to_supervision()
    assert isinstance(made, supervision.Detections)
    assert len(made) == count
    np.testing.assert_array_equal(made.xyxy, np.reshape(EDGES[:count], (-1, 4)))
    np.testing.assert_array_equal(made.mask, drawn_masks()[:count])
    np.testing.assert_array_equal(made.confidence, SCORES["score"][:count])
    classes = NAMES[1:]
    assert [classes[index] for index in made.class_id] == [NAMES[label] for label in LABELS[:count]]
    assert made.data["class_name"].tolist() == given.names
    np.testing.assert_array_equal(made.data["mask_iou"], SCORES["mask_iou"][:count])
    np.testing.assert_array_equal(made.data["mask_score"], SCORES["mask_score"][:count])
    points = made.data["keypoints"]
    assert points.shape == (count, 2, 3)
    of_points = supervision.KeyPoints(xy=points[..., :2], class_id=made.class_id)
    assert len(of_points) == count
    good = made[made.data["mask_score"] > 0.3]
    assert good.data["class_name"].tolist() == [n for n in given.names if n != NAMES[2]]


def test_supervision_draws_and_writes_it(tmp_path):
    supervision = pytest.importorskip("supervision")
    made = found().to_supervision()
    scene = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    drawn = supervision.MaskAnnotator(opacity=1).annotate(scene.copy(), made)
    np.testing.assert_array_equal(drawn.any(axis=2), drawn_masks().any(axis=0))
    empty = found(count=0).to_supervision()
    assert not supervision.MaskAnnotator().annotate(scene.copy(), empty).any()
    assert not supervision.BoxAnnotator().annotate(scene.copy(), empty).any()
    merged = supervision.Detections.merge([made, empty, made])
    assert merged.data["mask_score"].tolist() == SCORES["mask_score"] * 2
    with supervision.JSONSink(str(tmp_path / "found.json")) as sink:
        sink.append(made, {"image": "a.png"})
    rows = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert [float(row["mask_score"]) for row in rows] == SCORES["mask_score"]
    assert [row["class_name"] for row in rows] == [NAMES[label] for label in LABELS]


def test_supervision_of_boxes_alone():
    pytest.importorskip("supervision")
    made = found(with_masks=False).to_supervision()
    assert made.mask is None
    assert set(made.data) == {"class_name"}


def test_without_supervision_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)  # as if it were not installed
    with pytest.raises(MissingPackageError, match="pip install supervision"):
        found().to_supervision()


@pytest.mark.parametrize("offset", [0.0, 1.0])
def test_pycocotools_opens_the_json(offset, tmp_path):
    prediction = found(offset, keypoint_set=POINTS)
    path = tmp_path / "found.json"
    path.write_text(json.dumps(prediction.to_coco("a.png", [7, 3, 12])), encoding="utf-8")
    coco = COCO(str(path))
    assert coco.imgs[1]["file_name"] == "a.png"
    assert [coco.cats[i]["name"] for i in (7, 3, 12)] == NAMES[1:]
    rows = coco.loadAnns(coco.getAnnIds(imgIds=[1]))
    assert [row["category_id"] for row in rows] == [3, 12, 7]
    np.testing.assert_array_equal([coco.annToMask(row) for row in rows], drawn_masks())
    for key, values in SCORES.items():
        assert [row[key] for row in rows] == values
    assert [row["bbox"] for row in rows] == [[x1, y1, x2 - x1, y2 - y1] for x1, y1, x2, y2 in EDGES]
    assert rows[1]["keypoints"] == [6, 7, 1, 9, 10, 1]
    assert len(coco.loadRes(rows).anns) == 3


def test_one_image_is_written_as_by_the_file_of_several(tmp_path):
    for count in (3, 0):
        file = ResultsFile(NAMES, [1, 2, 3], POINTS)
        file.add("", found(count=count, keypoint_set=POINTS))
        file.write(tmp_path / "found.json")
        content = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
        assert content == found(count=count, keypoint_set=POINTS).to_coco()
        assert len(content["annotations"]) == count


def pasted(shape):
    """The pixels of a mask shape, by the description of the format."""
    (x1, y1), (x2, y2) = shape["points"]
    pixels = np.array(Image.open(io.BytesIO(base64.b64decode(shape["mask"]))), bool)
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[y1 : y2 + 1, x1 : x2 + 1] = pixels
    return mask


def test_labelme_masks_keep_holes_and_parts():
    content = json.loads(json.dumps(found().to_labelme("pictures/a.png")))
    assert (content["imagePath"], content["imageData"]) == ("pictures/a.png", None)
    assert (content["imageWidth"], content["imageHeight"]) == SIZE
    shapes = content["shapes"]
    assert [shape["label"] for shape in shapes] == [NAMES[label] for label in LABELS]
    assert [shape["group_id"] for shape in shapes] == [1, 2, 3]
    for key, values in SCORES.items():
        assert [shape[key] for shape in shapes] == values
    assert [shape["shape_type"] for shape in shapes] == ["mask", "mask", "rectangle"]
    for shape, mask in zip(shapes[:2], drawn_masks(), strict=False):
        np.testing.assert_array_equal(pasted(shape), mask)
    assert shapes[2]["points"] == [EDGES[2][:2], EDGES[2][2:]]  # its mask is empty


def test_labelme_polygons_are_one_for_each_part():
    shapes = found().to_labelme("a.png", polygons=True)["shapes"]
    kinds = [(shape["shape_type"], shape["group_id"]) for shape in shapes]
    assert kinds == [("polygon", 1), ("polygon", 2), ("polygon", 2), ("rectangle", 3)]
    assert [shape["mask_score"] for shape in shapes] == [0.25, 1, 1, 0.5]
    x, y = np.transpose(shapes[0]["points"])
    assert (x.round().min(), x.round().max(), y.round().min(), y.round().max()) == (3, 20, 5, 15)


@pytest.mark.parametrize("offset", [0.0, 1.0])
def test_labelme_boxes_and_keypoints(offset):
    assert found(count=0).to_labelme("a.png")["shapes"] == []
    shapes = found(offset, with_masks=False, keypoint_set=POINTS).to_labelme("a.png")["shapes"]
    assert [shape["label"] for shape in shapes[:3]] == [NAMES[2], "nose", "left eye"]
    assert [shape["points"] for shape in shapes[:3]] == [[[3, 5], [20, 15]], [[0, 1]], [[3, 4]]]
    assert [shape["shape_type"] for shape in shapes[:3]] == ["rectangle", "point", "point"]
    assert [shape["group_id"] for shape in shapes] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert "mask_score" not in shapes[0]


@pytest.mark.parametrize("polygons", [False, True])
def test_labelme_opens_the_json(polygons, tmp_path, monkeypatch):
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    reader = pytest.importorskip("labelme._label_file", reason="labelme 6 is not installed")
    shapes_to_label = pytest.importorskip("labelme.utils").shapes_to_label
    Image.new("RGB", SIZE).save(tmp_path / "a.png")
    content = found(keypoint_set=POINTS).to_labelme("a.png", polygons=polygons)
    (tmp_path / "a.json").write_text(json.dumps(content), encoding="utf-8")
    shapes = reader.LabelFile(str(tmp_path / "a.json")).shapes
    assert [shape["label"] for shape in shapes] == [shape["label"] for shape in content["shapes"]]
    assert [shape["group_id"] for shape in shapes if shape["label"] == "nose"] == [1, 2, 3]
    masks = drawn_masks()
    if polygons:
        masks[0, 8:12, 9:13] = True  # its hole is filled
    for number in (1, 2):
        own = [s for s in shapes if s["group_id"] == number and s["shape_type"] != "point"]
        expected = {key: values[number - 1] for key, values in SCORES.items()}
        assert all(shape["other_data"] == expected for shape in own)
        pixels = shapes_to_label((HEIGHT, WIDTH, 3), own, {own[0]["label"]: 1})[0] > 0
        mask = masks[number - 1]
        if polygons:  # labelme draws the outline too
            assert not (mask & ~pixels).any()
            assert not (pixels & ~dilated(mask)).any()
        else:
            np.testing.assert_array_equal(pixels, mask)


def dilated(mask):
    grown = np.pad(mask, 1)
    views = [grown[y : y + HEIGHT, x : x + WIDTH] for y in range(3) for x in range(3)]
    return np.any(views, axis=0)
