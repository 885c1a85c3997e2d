"""Which sets a run uses, and how many classes, from the command line alone."""

import importlib
import json
from pathlib import Path

import pytest

from maskrcnn_benchmark.config import cfg
from tests.data.helpers import square, write_coco

TOOLS = Path(__file__).parent.parent.parent / "tools"
CONFIG = TOOLS.parent / "configs" / "e2e_ms_rcnn_R_50_FPN_1x.yaml"
BOTH = ("TRAIN", "TEST")


@pytest.fixture
def own_data(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    return importlib.import_module("own_data")


@pytest.fixture
def config():
    config = cfg.clone()
    config.merge_from_file(CONFIG)
    return config


def entry(name):
    return (name, f"{name}.json", f"{name}/")


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
        ("ab", ("TRAIN",), {}, ("a",), ("b",)),  # not tested, and not learned from either
        ("ab", ("TRAIN",), {"TEST": ("b",)}, ("a",), ("b",)),
        ("", BOTH, {}, None, None),
    ],
)
def test_registered_sets_are_used(own_data, config, names, uses, given, train, test):
    before = (config.DATASETS.TRAIN, config.DATASETS.TEST)
    for split, sets in given.items():
        config.DATASETS[split] = sets
    keys = [f"DATASETS.{split}" for split in given]
    lines = own_data.register_datasets(config, [entry(name) for name in names], uses, keys)
    assert (before[0] if train is None else train) == config.DATASETS.TRAIN
    assert (before[1] if test is None else test) == config.DATASETS.TEST
    assert len(lines) == (len(set(uses) - set(given)) if names else 0)
    for name in names:
        assert dict(config.DATASETS.CUSTOM[name]) == {
            "ANN_FILE": f"{name}.json",
            "IMG_DIR": f"{name}/",
        }


def test_a_yaml_that_names_the_registered_set_decides(own_data, config):
    config.merge_from_text("DATASETS: {TRAIN: [b], TEST: [a]}")
    assert own_data.register_datasets(config, [entry("a"), entry("b")], BOTH, []) == []
    assert (config.DATASETS.TRAIN, config.DATASETS.TEST) == (("b",), ("a",))


def test_bad_registrations_are_named(own_data, config):
    for entries in ([entry("a.b")], [entry("a"), entry("a")], [entry("")]):
        with pytest.raises(ValueError, match="needs a name of its own, without a dot"):
            own_data.register_datasets(config, entries, BOTH, [])
    config.DATASETS.TEST = ("a",)
    with pytest.raises(ValueError, match="no data set is left to train on"):
        own_data.register_datasets(config, [entry("a")], BOTH, ["DATASETS.TEST"])


def register(own_data, config, folder, name, categories=((3, "cat"), (7, "dog"))):
    folder = folder / name
    folder.mkdir()
    files = write_coco(folder, [(20, 10, [square(1, 1, 5)])], categories)
    own_data.register_datasets(config, [(name, *map(str, files))], ("TEST",), ["DATASETS.TEST"])
    return files


def test_the_number_of_classes_follows_from_the_data(own_data, config, tmp_path):
    register(own_data, config, tmp_path, "a")
    register(own_data, config, tmp_path, "b", ((1, "cat"), (2, "dog")))  # ids do not matter
    config.DATASETS.TRAIN, config.DATASETS.TEST = ("a",), ("b",)
    (line,) = own_data.resolve_num_classes(config, BOTH)
    assert line == "MODEL.ROI_BOX_HEAD.NUM_CLASSES is 3: a has 2 classes"
    assert config.MODEL.ROI_BOX_HEAD.NUM_CLASSES == 3
    assert own_data.resolve_num_classes(config, BOTH) == []  # set now, and right
    config.MODEL.ROI_BOX_HEAD.NUM_CLASSES = 4
    with pytest.raises(ValueError, match="a, b has 2 classes: .* must be 3 .* not 4"):
        own_data.resolve_num_classes(config, BOTH)


def test_sets_of_other_classes_are_refused_at_the_start(own_data, config, tmp_path):
    register(own_data, config, tmp_path, "a")
    path, _ = register(own_data, config, tmp_path, "b", ((3, "dog"), (7, "cat")))
    config.DATASETS.TRAIN, config.DATASETS.TEST = ("a",), ("b",)
    with pytest.raises(ValueError, match=r"'a' and 'b' .*\['cat', 'dog'\] and \['dog', 'cat'\]"):
        own_data.resolve_num_classes(config, BOTH)
    own_data.resolve_num_classes(config, ("TRAIN",))
    path.write_text(json.dumps({"images": [], "categories": []}))
    with pytest.raises(ValueError, match="there are no categories"):
        own_data.resolve_num_classes(config, BOTH)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"data set 'b': .*json does not exist"):
        own_data.resolve_num_classes(config, BOTH)
