"""Keypoints from the json: recorded filter, any set of names, malformed files."""

import json

import pytest
import torch

from maskrcnn_benchmark.config import make_default_config
from maskrcnn_benchmark.data import make_data_loader, make_metadata
from maskrcnn_benchmark.data.classes import make_keypoint_set
from maskrcnn_benchmark.data.coco_json.keypoints import has_valid_annotation
from maskrcnn_benchmark.data.datasets import COCODataset, ConcatDataset
from maskrcnn_benchmark.structures.bounding_box import FLIP_LEFT_RIGHT
from tests.data.helpers import square, write_coco
from tests.helpers.stick_figures import NAMES, figure, write_figures
from tests.helpers.vectors import load_vector

RECORDED = load_vector("has_valid_annotation", "vectors_upstream")[0]["cases"]


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: case["case"])
def test_the_recorded_filter(case):
    assert has_valid_annotation(case["annotations"]) == case["valid"]


@pytest.fixture
def files(tmp_path):
    return write_figures(
        tmp_path, [[figure(2, 3), figure(50, 20)], [figure(9, 9)], [], [without_points(9, 9)]]
    )


def without_points(x, y):
    return {key: value for key, value in figure(x, y).items() if "keypoints" not in key}


def edited(files, edit):
    content = json.loads(files[0].read_text())
    edit(content)
    files[0].write_text(json.dumps(content))
    return files


def test_targets_have_the_keypoints_of_the_file(files):
    dataset = COCODataset(*files)
    assert dataset.keypoint_set == (NAMES, [[0, 1], [0, 2], [0, 3], [0, 4]])
    assert COCODataset.read_keypoint_set(*files) == dataset.keypoint_set
    target = dataset[0][1]
    keypoints = target.get_field("keypoints")
    assert keypoints.keypoints.shape == (2, 5, 3)
    assert keypoints.keypoints[1].flatten().tolist() == figure(50, 20)["keypoints"]
    flipped = target.transpose(FLIP_LEFT_RIGHT).get_field("keypoints").keypoints
    assert flipped[1, 2].tolist() == [95 - (50 + 36), 34, 2]  # the left hand became the right one
    assert dataset[2][1].get_field("keypoints").keypoints.shape == (0, 5, 3)
    assert not dataset[3][1].get_field("keypoints").keypoints.any()


@pytest.mark.parametrize(("least", "ids"), [(0, [1, 2, 4]), (5, [1, 2]), (6, [1]), (10, [1])])
def test_images_with_too_few_keypoints_are_left_out_of_training(files, least, ids):
    assert COCODataset(*files, True, min_keypoints=least).ids == ids
    assert COCODataset(*files, min_keypoints=least).ids == [1, 2, 3, 4]


def test_no_image_is_left(files):
    with pytest.raises(ValueError, match="no annotated image with at least 11 keypoints"):
        COCODataset(*files, True, min_keypoints=11)


def test_evaluation_gets_counts_and_points(files):
    annotations = COCODataset(*files).coco.anns
    assert [a["num_keypoints"] for a in annotations.values()] == [5, 5, 5, 0]
    assert annotations[4]["keypoints"] == [0] * 15


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c["annotations"][1].update(keypoints=[1, 2]), "annotation id 2: .* 15 finite"),
        (
            lambda c: c["annotations"][0].update(keypoints=[1, 2, 3] * 5),
            "annotation id 1: .* visibility that is not 0, 1 or 2",
        ),
        (lambda c: c["annotations"][0].update(keypoints=[1e9, 2, 2] * 5), "not in pixels"),
        (lambda c: c["annotations"][0].update(keypoints=["1", 2, 2] * 5), "15 finite numbers"),
        (lambda c: c["categories"][0].update(keypoints="head"), "category id 4: .* list of names"),
        (lambda c: c["categories"][0].update(keypoints=["a"] * 5), "has a name twice"),
        (lambda c: c["categories"][0].update(skeleton=[[0, 1]]), "numbers from 1 to 5"),
        (lambda c: c["categories"][0].update(skeleton=[[1, 6]]), "numbers from 1 to 5"),
    ],
)
def test_malformed_keypoints_are_named(files, edit, message):
    with pytest.raises(ValueError, match=message):
        COCODataset(*edited(files, edit))


def test_categories_that_differ_have_no_common_keypoints(files):
    other = {"id": 9, "name": "dog", "keypoints": ["nose", "tail"], "skeleton": []}
    dataset = COCODataset(*edited(files, lambda c: c["categories"].append(other)))
    assert dataset.keypoint_set is None
    assert not dataset[0][1].has_field("keypoints")


def test_a_category_without_keypoints_beside_one_that_has_them(files):
    def edit(content):
        content["categories"].append({"id": 9, "name": "ball"})
        ball = {"id": 9, "image_id": 3, "category_id": 9, "bbox": [1, 1, 9, 9], "keypoints": None}
        content["annotations"].append(ball)

    dataset = COCODataset(*edited(files, edit))
    assert dataset[2][1].get_field("keypoints").keypoints.tolist() == [[[0, 0, 0]] * 5]


def test_concatenated_sets(files, tmp_path):
    (tmp_path / "other").mkdir()
    categories = [(4, "figure")]
    plain = write_coco(tmp_path / "other", [(40, 30, [square(1, 1, 9, category_id=4)])], categories)
    both = ConcatDataset([COCODataset(*files), COCODataset(*plain)])
    assert both.keypoint_set.keypoint_names == NAMES
    assert both[4][1].get_field("keypoints").keypoints.tolist() == [[[0, 0, 0]] * 5]
    assert both[0][1].get_field("keypoints").keypoints.any()
    swapped = write_figures(tmp_path / "swapped", [[figure(1, 1)]])
    edited(swapped, lambda c: c["categories"][0]["keypoints"].reverse())
    with pytest.raises(ValueError, match="the same keypoints in the same order"):
        ConcatDataset([COCODataset(*files), COCODataset(*swapped)])


def config(files, **model):
    made = make_default_config()
    made.merge_from_list(
        [
            *("DATASETS.CUSTOM.figures.ANN_FILE", str(files[0])),
            *("DATASETS.CUSTOM.figures.IMG_DIR", str(files[1])),
            *("DATASETS.TRAIN", ("figures",), "DATALOADER.NUM_WORKERS", 0),
            *("SOLVER.IMS_PER_BATCH", 1, "MODEL.ROI_BOX_HEAD.NUM_CLASSES", 2),
            *(part for pair in model.items() for part in (f"MODEL.{pair[0]}", pair[1])),
        ]
    )
    return made


def test_the_loader_checks_the_model_against_the_data(files, tmp_path):
    wrong = config(files, KEYPOINT_ON=True)
    with pytest.raises(ValueError, match="has 5 keypoints: .*NUM_CLASSES must be 5, not 17"):
        make_data_loader(wrong)
    wrong.MODEL.ROI_KEYPOINT_HEAD.NUM_CLASSES = 5
    assert {len(make_data_loader(wrong).dataset)} == {1}  # by MIN_KEYPOINTS_PER_IMAGE, 10
    wrong.MODEL.ROI_KEYPOINT_HEAD.MIN_KEYPOINTS_PER_IMAGE = 1
    assert len(make_data_loader(wrong).dataset) == 2
    (tmp_path / "other").mkdir()
    plain = write_coco(tmp_path / "other", [(40, 30, [square(1, 1, 9)])])
    with pytest.raises(ValueError, match="figures has no keypoints .*KEYPOINT_ON False"):
        make_data_loader(config(plain, KEYPOINT_ON=True, **{"ROI_BOX_HEAD.NUM_CLASSES": 3}))


def test_metadata_has_keypoints_only_for_a_keypoint_head(files, tmp_path):
    names = ["__background__", "figure"]
    assert make_metadata(config(files), ["figures"]) == {"class_names": names, "category_ids": [4]}
    assert make_metadata(config(files, KEYPOINT_ON=True), ["figures"]) == {
        "class_names": names,
        "category_ids": [4],
        "keypoint_names": NAMES,
        "skeleton": [[0, 1], [0, 2], [0, 3], [0, 4]],
    }
    other = write_figures(tmp_path / "other", [[figure(1, 1)]])
    edited(other, lambda c: c["categories"][0]["keypoints"].reverse())
    made = config(files)
    entry = {"ANN_FILE": str(other[0]), "IMG_DIR": str(other[1])}
    made.merge_from_other_cfg({"DATASETS": {"CUSTOM": {"other": entry}}})
    with pytest.raises(ValueError, match="'figures' and 'other' differ in their keypoints"):
        make_keypoint_set(made, ["figures", "other"])


def test_workers_get_the_keypoints(files):
    made = config(files, KEYPOINT_ON=True, **{"ROI_KEYPOINT_HEAD.NUM_CLASSES": 5})
    made.INPUT.HORIZONTAL_FLIP_PROB_TRAIN = 0.0
    _, (target,), _ = next(iter(make_data_loader(made)))
    scale = target.size[0] / 96
    expected = torch.tensor(figure(2, 3)["keypoints"]).reshape(5, 3)[:, 0] * scale
    torch.testing.assert_close(target.get_field("keypoints").keypoints[0, :, 0], expected)
