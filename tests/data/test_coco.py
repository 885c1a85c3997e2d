"""COCODataset against recorded values; irregular files are handled or reported."""

import json
import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask

from maskrcnn_benchmark.data.datasets import COCODataset, ConcatDataset
from maskrcnn_benchmark.data.seeded_index import SeededIndex
from maskrcnn_benchmark.structures.bounding_box import FLIP_LEFT_RIGHT
from tests.data.helpers import square, write_coco
from tests.helpers.vectors import load_vector

RECORDED = load_vector("coco_dataset")[0]["data"]
for _annotation in RECORDED["annotations"]["annotations"]:
    if (
        _annotation["id"] == 12
    ):  # a crowd recorded with the size of another image, which is now refused
        _annotation["segmentation"] = {"size": [40, 60], "counts": [100, 50, 2250]}


@pytest.fixture
def recorded_files(tmp_path):
    path = tmp_path / "recorded.json"
    path.write_text(json.dumps(RECORDED["annotations"]))
    for image in RECORDED["annotations"]["images"]:
        Image.new("RGB", (image["width"], image["height"])).save(tmp_path / image["file_name"])
    return path, tmp_path


@pytest.mark.parametrize("mode", ["train", "test"])
def test_samples_match_the_recorded_ones(recorded_files, mode):
    path, root = recorded_files
    dataset = COCODataset(path, root, mode == "train")
    assert dataset.ids == RECORDED[f"{mode}_ids"]
    assert dataset.id_to_img_map == dict(enumerate(dataset.ids))
    contiguous = {int(k): v for k, v in RECORDED["category_to_contiguous"].items()}
    assert dataset.json_category_id_to_contiguous_id == contiguous
    assert dataset.contiguous_category_id_to_json_id == {v: k for k, v in contiguous.items()}
    for index in range(len(dataset)):
        expected = RECORDED["items"][f"{mode}_{index}"]
        image, target, number = dataset[index]
        assert number == expected["idx"]
        assert list(image.size) == list(target.size) == expected["size"]
        boxes = torch.tensor(expected["boxes"]).reshape(-1, 4)
        torch.testing.assert_close(target.bbox, boxes, rtol=0, atol=1e-4)
        assert target.mode == "xyxy"
        assert target.get_field("labels").tolist() == expected["labels"]
        assert target.get_field("labels").dtype == torch.int64  # float32 in the original when empty
        assert len(target.get_field("masks")) == expected["n_masks"]
    if mode == "test":
        index = dataset.ids.index(RECORDED["img_info_0"]["id"])
        assert dataset.get_img_info(index) == RECORDED["img_info_0"]


def test_class_names(tmp_path):
    dataset = COCODataset(*write_coco(tmp_path, [(20, 10, [square(1, 1, 5)])]))
    assert dataset.class_names == ["__background__", "cat", "dog"]


def test_classes_are_read_without_the_annotations(tmp_path):
    path, root = write_coco(tmp_path, [(20, 10, [square(1, 1, 5)])])
    expected = (["__background__", "cat", "dog"], [3, 7])
    assert COCODataset.read_classes(path, root) == expected
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content, indent=2))
    assert COCODataset.read_classes(path, root) == expected
    path.write_text(json.dumps({"info": {"categories": [1]}, **content}))  # another key of the name
    assert COCODataset.read_classes(path, root) == expected
    path.write_text('{"categories" : [{"id": 3, "name": "cat"}], no json')  # the rest is not read
    assert COCODataset.read_classes(path, root) == (["__background__", "cat"], [3])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("[]", "not in COCO format"),
        ('{"images": [], "categories": 3}', "no list 'categories'"),
        ('{"images": [], "categories": []}', "there are no categories"),
        ('{"images": [], "categories": [{"id": 1}, 7]}', "needs id, .*category 7"),
        (
            '{"images": [], "categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}',
            "category id 1 occurs twice",
        ),
    ],
)
def test_malformed_categories_are_named(tmp_path, text, message):
    path = tmp_path / "annotations.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        COCODataset.read_classes(path, tmp_path)
    with pytest.raises(ValueError, match=message):
        COCODataset(path, tmp_path)


def test_masks_of_every_kind_in_one_image(tmp_path):
    pixels = np.zeros((10, 20), dtype=np.uint8)
    pixels[2:6, 3:9] = 1
    pixels[3, 4] = 0
    compressed = coco_mask.encode(np.asfortranarray(pixels))
    compressed["counts"] = compressed["counts"].decode()
    column_wise = pixels.T.reshape(-1)
    changes = np.flatnonzero(np.diff(column_wise)) + 1
    runs = np.diff([0, *changes, column_wise.size]).tolist()
    uncompressed = {"size": [10, 20], "counts": runs}
    annotations = [
        square(3, 2, 6, segmentation=compressed),
        square(3, 2, 6, segmentation=uncompressed),
        square(3, 2, 4, category_id=7, segmentation=[[3, 2, 7, 2, 7, 6, 3, 6], [1, 1, 2, 2]]),
    ]
    dataset = COCODataset(*write_coco(tmp_path, [(20, 10, annotations)]), True)
    _, target, _ = dataset[0]
    masks = target.get_field("masks").decode()
    np.testing.assert_array_equal(masks[0], pixels)
    np.testing.assert_array_equal(masks[1], pixels)
    assert masks[2].sum() == 16
    assert target.get_field("labels").tolist() == [1, 1, 2]


def test_crowds_and_empty_images(tmp_path):
    crowd = square(1, 1, 5, iscrowd=1, segmentation={"size": [10, 20], "counts": [200]})
    files = write_coco(tmp_path, [(20, 10, []), (20, 10, [crowd]), (20, 10, [square(1, 1, 5)])])
    train, test = COCODataset(*files, True), COCODataset(*files, False)
    assert train.ids == [10, 20]
    assert test.ids == [10, 20, 30]
    for dataset, index in ((train, 1), (test, 1), (test, 2)):
        _, target, _ = dataset[index]
        assert target.bbox.shape == (0, 4)
        assert target.get_field("labels").dtype == torch.int64
        assert len(target.get_field("masks")) == 0


def test_boxes_are_clipped_and_empty_ones_dropped_with_their_fields(tmp_path):
    annotations = [
        square(15, 5, 10),
        square(3, 3, 0.5),
        square(22, 3, 5),
        {**square(2, 2, 5), "bbox": [2, 2, -3, 5]},
        square(1, 1, 4, category_id=7),
    ]
    _, target, _ = COCODataset(*write_coco(tmp_path, [(20, 10, annotations)]))[0]
    assert target.bbox.tolist() == [[15, 5, 19, 9], [1, 1, 4, 4]]
    assert target.get_field("labels").tolist() == [1, 2]
    assert len(target.get_field("masks")) == 2


@pytest.mark.parametrize("flip", [False, True])
def test_continuous_boxes_enclose_their_masks(tmp_path, flip):
    files = write_coco(tmp_path, [(20, 10, [square(1, 2, 5), square(12, 0, 8)])])
    _, target, _ = COCODataset(*files, pixel_offset=0)[0]
    target = target.transpose(FLIP_LEFT_RIGHT) if flip else target
    for (x1, y1, x2, y2), mask in zip(
        target.bbox.int().tolist(), target.get_field("masks").decode(), strict=True
    ):
        ys, xs = mask.nonzero()
        assert (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1) == (x1, y1, x2, y2)


@pytest.mark.parametrize(
    "segmentation",
    [None, [], [[]], [[], []], [[1, 1, 2, 2]], [[1, 1, 5, 5], [2, 2]], [1, 1, 5, 5]]
    + [{"size": [10, 20], "counts": [200]}, {"size": [10, 20], "counts": "X6"}],
)
def test_an_instance_without_a_mask_is_learned_by_its_box(tmp_path, segmentation):
    annotations = [square(1, 1, 5), square(2, 2, 5, category_id=7, segmentation=segmentation)]
    dataset = COCODataset(*write_coco(tmp_path, [(20, 10, annotations)]))
    target = dataset[0][1]
    assert target.get_field("labels").tolist() == [1, 2]
    assert target.get_field("masks").present().tolist() == [True, False]
    assert dataset.coco.anns[2]["segmentation"] is None
    assert str(dataset.learned) == (
        "2 of 2 instances are learned; 1 have no mask, their boxes alone are learned"
    )


def test_an_absent_segmentation_is_no_mask(tmp_path):
    box = square(2, 2, 5)
    del box["segmentation"]
    dataset = COCODataset(*write_coco(tmp_path, [(20, 10, [square(1, 1, 5), box])]))
    assert dataset[0][1].get_field("masks").present().tolist() == [True, False]


def test_data_without_masks(tmp_path):
    box = {key: value for key, value in square(1, 1, 5).items() if key != "segmentation"}
    dataset = COCODataset(*write_coco(tmp_path, [(20, 10, [box])]))
    assert not dataset.has_masks
    assert dataset[0][1].fields() == ["labels"]


def test_a_test_set_has_no_annotations(tmp_path):
    path, root = write_coco(tmp_path, [(20, 10, [])])
    content = json.loads(path.read_text())
    del content["annotations"]
    path.write_text(json.dumps(content))
    dataset = COCODataset(path, root)
    assert len(dataset[0][1]) == 0
    with pytest.raises(ValueError, match="no annotated image"):
        COCODataset(path, root, True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bbox": [1, 1, float("nan"), 2]}, "annotation id 1: bbox"),
        ({"bbox": [1, 1, float("inf"), 2]}, "annotation id 1: bbox"),
        ({"bbox": [1, 1, 2]}, "four finite numbers"),
        ({"bbox": "none"}, "four finite numbers"),
        ({"bbox": [1, 1, None, 2]}, "four finite numbers"),
        ({"category_id": 4}, "annotation id 1: there is no category id 4"),
        ({"image_id": 99}, "annotation id 1: there is no image id 99"),
        ({"segmentation": [[1, 2, 3, float("nan"), 4, 5]]}, "annotation id 1: polygon"),
        ({"segmentation": [[1, 2, 3, 4, 5, 6, 7]]}, "even number"),
        ({"segmentation": [1, 2, 3, 4, 5, 6]}, "annotation id 1: polygon"),
        ({"segmentation": "x"}, "neither a list of polygons nor RLE"),
        (
            {"segmentation": {"size": [20, 10], "counts": [200]}},
            r"size must be \[10, 20\]",
        ),
        ({"segmentation": {"size": [10, 20]}}, "counts"),
    ],
)
def test_malformed_annotations_are_named(tmp_path, change, message):
    files = write_coco(tmp_path, [(20, 10, [square(1, 1, 5, **change)])])
    with pytest.raises(ValueError, match=message):
        COCODataset(*files)


def test_many_problems_make_one_short_error(tmp_path):
    bad = [square(1, 1, 5, bbox=[]) for _ in range(15)]
    with pytest.raises(ValueError, match=r"annotation id 3: .*and 12 more") as caught:
        COCODataset(*write_coco(tmp_path, [(20, 10, bad)]))
    assert "annotation id 4" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_invalid_annotation_files(tmp_path):
    path, root = write_coco(tmp_path, [(20, 10, [square(1, 1, 5)])])
    with pytest.raises(FileNotFoundError, match="nowhere.json"):
        COCODataset(tmp_path / "nowhere.json", root)
    with pytest.raises(FileNotFoundError, match="image folder .*nowhere"):
        COCODataset(path, tmp_path / "nowhere")
    content = json.loads(path.read_text())
    path.write_text("[")
    with pytest.raises(ValueError, match="not JSON"):
        COCODataset(path, root)
    for text in ("[]", json.dumps({"images": []})):
        path.write_text(text)
        with pytest.raises(ValueError, match="not in COCO format"):
            COCODataset(path, root)
    path.write_text(json.dumps({**content, "images": content["images"] * 2}))
    with pytest.raises(ValueError, match="image id 10 occurs twice"):
        COCODataset(path, root)
    path.write_text(json.dumps({**content, "images": [{"id": 10}]}))
    with pytest.raises(ValueError, match="needs id, file_name, height and width"):
        COCODataset(path, root)


def test_bad_images_are_named(tmp_path):
    path, root = write_coco(tmp_path, [(20, 10, [square(1, 1, 5)])])
    dataset = COCODataset(path, root)
    image = (root / "0.png").read_bytes()
    (root / "0.png").write_bytes(image[: len(image) // 2])
    with pytest.raises(ValueError, match=r"image id 10: .*0.png cannot be read"):
        dataset[0]
    (root / "0.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"image id 10: .*0.png cannot be read"):
        dataset[0]
    Image.new("RGB", (10, 20)).save(root / "0.png")
    with pytest.raises(ValueError, match="10 pixels wide and 20 high"):
        dataset[0]
    (root / "0.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"image id 10: .*0.png does not exist"):
        dataset[0]


def test_pixels_stay_where_the_annotator_saw_them(tmp_path):
    path, root = write_coco(tmp_path, [(20, 10, [square(2, 3, 5)])])
    exif = Image.Exif()
    exif[0x0112] = 6  # turned: upright it is 10 wide and 20 high
    Image.new("RGB", (20, 10)).save(root / "0.png", exif=exif)
    image, target, _ = COCODataset(path, root)[0]
    assert image.size == target.size == (20, 10)
    Image.new("RGB", (10, 20)).save(root / "0.png", exif=exif)
    image, target, _ = COCODataset(path, root)[0]
    assert image.size == target.size == (20, 10)


class Drawn:
    """Transform that replaces the image by random draws."""

    def __call__(self, image, target=None, rng=None):
        return rng.random(), target


def test_draws_follow_the_seed_of_the_index(tmp_path):
    files = write_coco(tmp_path, [(20, 10, [square(1, 1, 5)]), (20, 10, [square(1, 1, 5)])])
    first = COCODataset(*files, transforms=Drawn())
    both = ConcatDataset([first, COCODataset(*files, transforms=Drawn())])
    value, _, index = first[SeededIndex(1, "a")]
    assert index == 1
    assert type(index) is int
    assert both[SeededIndex(3, "a")][0] == value
    assert both[SeededIndex(3, "b")][0] != value
    assert pickle.loads(pickle.dumps(first))[SeededIndex(0, "a")][0] == value


def test_concatenated_data_sets(tmp_path):
    files = write_coco(tmp_path, [(20, 10, [square(1, 1, 5)]), (30, 10, [])])
    small, whole = COCODataset(*files, True), COCODataset(*files)
    both = ConcatDataset([small, whole])
    assert len(both) == 3
    assert [both.get_idxs(index) for index in range(3)] == [(0, 0), (1, 0), (1, 1)]
    assert [both.get_img_info(index)["width"] for index in range(3)] == [20, 30, 20]
    image, _, index = both[2]
    assert (image.size, index) == ((20, 10), 2)
    other = tmp_path / "other"
    other.mkdir()
    files = write_coco(other, [(20, 10, [])], categories=((1, "cow"),))
    with pytest.raises(ValueError, match="'cat', 'dog'.*'cow'"):
        ConcatDataset([small, COCODataset(*files)])
