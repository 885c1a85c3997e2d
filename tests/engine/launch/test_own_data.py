"""Data sets and number of classes of a run, inferred from the command line."""

import json

import pytest

from maskrcnn_benchmark.config import cfg
from maskrcnn_benchmark.engine.launch.own_data import register_datasets, resolve_num_classes
from tests.data.helpers import square, write_coco
from tests.helpers.shipped_configs import CONFIGS

CONFIG = CONFIGS / "e2e_ms_rcnn_R_50_FPN_1x.yaml"
BOTH = ("TRAIN", "TEST")


@pytest.fixture
def config():
    config = cfg.clone()
    config.merge_from_file(CONFIG)
    return config


def entries(names):
    return {name: (f"{name}.json", f"{name}/") for name in names}


@pytest.mark.parametrize(
    ("names", "uses", "given", "train", "test"),
    [
        ("a", BOTH, {}, ("a",), ()),
        ("ab", BOTH, {}, ("a",), ("b",)),
        ("abc", BOTH, {}, ("a",), ("b", "c")),
        ("abc", BOTH, {"TEST": ("a",)}, ("b", "c"), ("a",)),
        ("abc", BOTH, {"TRAIN": ("a", "c")}, ("a", "c"), ("b",)),
        ("ab", BOTH, {"TRAIN": ("a", "b")}, ("a", "b"), ()),
        ("ab", BOTH, {"TRAIN": ("a",), "TEST": ("a",)}, ("a",), ("a",)),
        ("ab", ("TEST",), {}, None, ("a", "b")),
        ("ab", ("TRAIN",), {}, ("a",), ("b",)),  # neither tested on nor trained on
        ("ab", ("TRAIN",), {"TEST": ("b",)}, ("a",), ("b",)),
        ("", BOTH, {}, None, None),
    ],
)
def test_registered_sets_are_used(config, names, uses, given, train, test):
    before = (config.DATASETS.TRAIN, config.DATASETS.TEST)
    for split, sets in given.items():
        config.DATASETS[split] = sets
    keys = [f"DATASETS.{split}" for split in given]
    lines = register_datasets(config, entries(names), uses, keys)
    assert (before[0] if train is None else train) == config.DATASETS.TRAIN
    assert (before[1] if test is None else test) == config.DATASETS.TEST
    assert len(lines) == (len(set(uses) - set(given)) if names else 0)
    for name in names:
        assert dict(config.DATASETS.CUSTOM[name]) == {
            "ANN_FILE": f"{name}.json",
            "IMG_DIR": f"{name}/",
        }


def test_a_yaml_that_names_the_registered_set_decides(config):
    config.merge_from_text("DATASETS: {TRAIN: [b], TEST: [a]}")
    assert register_datasets(config, entries("ab"), BOTH, []) == []
    assert (config.DATASETS.TRAIN, config.DATASETS.TEST) == (("b",), ("a",))


def test_bad_registrations_are_named(config):
    for name in ("a.b", ""):
        with pytest.raises(
            ValueError, match=f"'{name}': a name must not be empty or contain a dot"
        ):
            register_datasets(config, entries([name]), BOTH, [])
    for files in ("a.json", ("a.json",), ("a.json", "a/", "b/")):
        with pytest.raises(ValueError, match="'a': .* is not .annotation file, image folder"):
            register_datasets(config, {"a": files}, BOTH, [])
    config.DATASETS.TEST = ("a",)
    with pytest.raises(ValueError, match="no data set is left to train on"):
        register_datasets(config, entries("a"), BOTH, ["DATASETS.TEST"])


def register(config, folder, name, categories=((3, "cat"), (7, "dog"))):
    folder = folder / name
    folder.mkdir()
    files = write_coco(folder, [(20, 10, [square(1, 1, 5)])], categories)
    register_datasets(config, {name: files}, ("TEST",), ["DATASETS.TEST"])
    return files


def test_the_number_of_classes_follows_from_the_data(config, tmp_path):
    register(config, tmp_path, "a")
    register(config, tmp_path, "b", ((1, "cat"), (2, "dog")))  # ids may differ
    config.DATASETS.TRAIN, config.DATASETS.TEST = ("a",), ("b",)
    (line,) = resolve_num_classes(config, BOTH)
    assert line == "MODEL.ROI_BOX_HEAD.NUM_CLASSES is 3: a has 2 classes"
    assert config.MODEL.ROI_BOX_HEAD.NUM_CLASSES == 3
    assert resolve_num_classes(config, BOTH) == []  # set explicitly, and correct
    config.MODEL.ROI_BOX_HEAD.NUM_CLASSES = 4
    with pytest.raises(ValueError, match="a, b has 2 classes: .* must be 3 .* not 4"):
        resolve_num_classes(config, BOTH)


def test_sets_of_other_classes_are_refused_at_the_start(config, tmp_path):
    register(config, tmp_path, "a")
    path, _ = register(config, tmp_path, "b", ((3, "dog"), (7, "cat")))
    config.DATASETS.TRAIN, config.DATASETS.TEST = ("a",), ("b",)
    with pytest.raises(ValueError, match=r"'a' and 'b' .*\['cat', 'dog'\] and \['dog', 'cat'\]"):
        resolve_num_classes(config, BOTH)
    resolve_num_classes(config, ("TRAIN",))
    path.write_text(json.dumps({"images": [], "categories": []}))
    with pytest.raises(ValueError, match="there are no categories"):
        resolve_num_classes(config, BOTH)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"data set 'b': .*json does not exist"):
        resolve_num_classes(config, BOTH)
