"""``tools/review_labels.py`` from the command line, with a tiny model and with its predictions."""

import csv
import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.tiny_detector import save_checkpoint, tiny_config
from tests.review.world import World, annotation, prediction

TOOLS = str(Path(__file__).parents[2] / "tools")
BOX, OTHER = (4, 4, 10, 10), (30, 20, 10, 10)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_checkpoint(tmp_path_factory.mktemp("model"), tiny_config(), ["cat", "dog"])


@pytest.fixture
def review(monkeypatch, capsys):
    """Run the command; return its exit code, stdout and stderr."""
    monkeypatch.syspath_prepend(TOOLS)
    tool = importlib.import_module("review_labels")

    def run(*arguments):
        try:
            tool.main([*map(str, arguments)])
            code = 0
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    yield run
    sys.modules.pop("review_labels", None)


@pytest.fixture
def world(tmp_path):
    annotations = [annotation(31, 1, (4, 4, 10, 5)), annotation(8, 2, OTHER)]
    made = World(tmp_path, annotations, [prediction(1, BOX), prediction(2, OTHER)])
    made.draw()
    return made


def files_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_model_reviews_every_image_of_the_annotations(review, world, weights):
    noise = np.random.default_rng(0)
    for name in world.names.values():
        pixels = noise.integers(256, size=(40, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(world.images / name)
    options = ("--annotations", world.ann_file, "--images", world.images, "--output", world.output)
    code, said, _ = review("--weights", weights, "--device", "cpu", "--batch-size", 2, *options)
    assert code == 0
    assert files_in(world.output) == [
        "findings.csv",
        "findings.json",
        "index.html",
        "predictions.json",
    ]
    found = json.loads((world.output / "findings.json").read_text())
    assert f"{len(found)} suspicions" in said
    predicted = json.loads((world.output / "predictions.json").read_text())
    assert [image["file_name"] for image in predicted["images"]] == ["1.png", "2.png"]
    assert {row["image_id"] for row in found} == {1, 2}
    # from its predictions on disk comes the same
    code, _, _ = review("--predictions", world.output / "predictions.json", *options)
    assert code == 0
    assert json.loads((world.output / "findings.json").read_text()) == found


def test_predictions_and_the_choice_of_the_score(review, world):
    options = ("--annotations", world.ann_file, "--images", world.images, "--output", world.output)
    for by, z in (("mask_score", 3), ("score", 5)):
        code, _, _ = review("--predictions", world.results, *options, "--by", by)
        assert code == 0
        (row,) = json.loads((world.output / "findings.json").read_text())
        assert (row["annotation_id"], row["suspicion"]) == (
            31,
            pytest.approx(0.9 * (1 - np.exp(-z * z / 2))),
        )


def test_a_model_orders_unlabeled_images(review, world, weights):
    options = ("--images", world.images, "--output", world.output, "--threshold", 0)
    code, said, _ = review("--weights", weights, "--device", "cpu", *options)
    assert code == 0
    assert "2 images, the most doubtful first" in said
    assert files_in(world.output) == [
        "index.html",
        "order.csv",
        "order.json",
        "pre_annotations.json",
        "predictions.json",
    ]
    with (world.output / "order.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["file_name"] for row in rows) == ["1.png", "2.png"]
    predicted = json.loads((world.output / "predictions.json").read_text())
    kept = json.loads((world.output / "pre_annotations.json").read_text())
    assert kept["annotations"] == predicted["annotations"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--annotations": "nowhere.json"}, "annotation file nowhere.json does not exist"),
        ({"--predictions": "nowhere.json"}, "nowhere.json"),
        ({"--images": "nowhere"}, "1.png"),
        ({"--images": "nowhere", "--annotations": None}, "not a JSON of predictions"),
    ],
)
def test_a_mistake_is_one_line(review, world, change, message):
    options = {
        "--predictions": world.results,
        "--annotations": world.ann_file,
        "--images": world.images,
        "--output": world.output,
        **change,
    }
    given = [part for pair in options.items() if pair[1] is not None for part in pair]
    code, said, error = review(*given)
    assert (code, said) == (2, "")
    assert message in error
    assert len(error.splitlines()) == 1
    assert not world.output.exists() or files_in(world.output) == []


def test_a_model_needs_a_folder_of_images(review, tmp_path, weights):
    code, _, error = review("--weights", weights, "--images", tmp_path / "no", "--output", tmp_path)
    assert code == 2
    assert error.splitlines()[-1].startswith("error: image folder")


def test_model_and_predictions_exclude_each_other(review, world, weights):
    options = ("--images", world.images, "--output", world.output)
    code, _, error = review("--weights", weights, "--predictions", world.results, *options)
    assert code == 2
    assert "not allowed with argument" in error
    assert review(*options)[0] == 2
