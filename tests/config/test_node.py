"""Merging of configs: conversion, errors, and tracking of set keys."""

import pickle

import pytest

from maskrcnn_benchmark.config import CfgNode, cfg


@pytest.fixture
def config():
    return cfg.clone()


@pytest.mark.parametrize(
    ("key", "raw", "value"),
    [
        ("SOLVER.BASE_LR", 1, 1.0),
        ("SOLVER.BASE_LR", "1e-4", 1e-4),
        ("SOLVER.MAX_ITER", "9e4", 90000),
        ("SOLVER.MAX_ITER", 90000.0, 90000),
        ("SOLVER.BIAS_LR_FACTOR", 2.5, 2.5),
        ("SOLVER.BIAS_LR_FACTOR", 3, 3),
        ("SOLVER.WEIGHT_DECAY_BIAS", "0.0001", 0.0001),
        ("MODEL.RPN.STRADDLE_THRESH", -0.5, -0.5),
        ("INPUT.MIN_SIZE_TRAIN", "(640, 800)", (640, 800)),
        ("INPUT.MIN_SIZE_TRAIN", [640, 800], (640, 800)),
        ("INPUT.MIN_SIZE_TRAIN", 640, 640),
        ("MODEL.MASK_ON", "True", True),
        ("MODEL.WEIGHT", "2014", "2014"),
        ("MODEL.WEIGHT", "'a b.pth'", "a b.pth"),
        ("MODEL.DEVICE", "cuda:1", "cuda:1"),
        ("OUTPUT_DIR", "None", "None"),
        ("SOLVER.STEPS", "[1, 2]", (1, 2)),
        ("INPUT.PIXEL_STD", (1.0, 2.0, 3.0), [1.0, 2.0, 3.0]),
        ("TEST.EXPECTED_RESULTS", "(('bbox', 'AP', 0.3, 0.1),)", [["bbox", "AP", 0.3, 0.1]]),
    ],
)
def test_values_convert(config, key, raw, value):
    config.merge_from_list([key, raw])
    section, name = key.rsplit(".", 1) if "." in key else ("", key)
    node = config
    for part in filter(None, section.split(".")):
        node = node[part]
    assert node[name] == value
    assert type(node[name]) is type(value)
    assert config.is_set(key)


@pytest.mark.parametrize(
    ("key", "raw", "message"),
    [
        ("SOLVER.MAX_ITER", 1.5, "SOLVER.MAX_ITER must be of type int, got 1.5"),
        ("SOLVER.MAX_ITER", True, "SOLVER.MAX_ITER must be of type int, got True"),
        ("MODEL.MASK_ON", 1, "MODEL.MASK_ON must be of type bool, got 1"),
        ("MODEL.WEIGHT", 3, "in quotes"),
        ("MODEL.WEIGHT", None, "MODEL.WEIGHT must be of type str, got None"),
        ("DATASETS.TRAIN", "coco_2014_train", r"\('coco_2014_train',\)"),
        ("SOLVER.STEPS", "(30000)", r"write \(30000,\)"),
        ("SOLVER.lr", 1, "unknown key SOLVER.lr; did you mean SOLVER"),
        ("SOLVER.BASE_LRR", 1, "did you mean SOLVER.BASE_LR?"),
        ("solver.base_lr", 1, "did you mean SOLVER.BASE_LR?"),
        ("MODEL.ROI_HEADS.NUM_CLASSES", 3, "did you mean MODEL.ROI_BOX_HEAD.NUM_CLASSES?"),
        ("MODEL.WEIGHT.X", 3, "unknown key MODEL.WEIGHT.X"),
        ("MODEL", 3, "MODEL is a section"),
    ],
)
def test_mistakes_are_named(config, key, raw, message):
    before = config.clone()
    with pytest.raises(ValueError, match=message):
        config.merge_from_list(["SEED", 5, key, raw])
    assert config == before  # nothing is merged if there is an error


def test_all_problems_of_a_file_are_reported(config, tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("MODEL:\n  WEIGTH: x\nSOLVER:\n  MAX_ITER: many\n")
    with pytest.raises(ValueError, match=r"(?s)bad.yaml.*MODEL.WEIGHT\?.*SOLVER.MAX_ITER"):
        config.merge_from_file(path)


def test_files_that_are_no_config(config, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.yaml"):
        config.merge_from_file(tmp_path / "nowhere.yaml")
    path = tmp_path / "x.yaml"
    path.write_text("MODEL: [")
    with pytest.raises(ValueError, match="not valid YAML"):
        config.merge_from_file(path)
    path.write_text("just words")
    with pytest.raises(ValueError, match="sections"):
        config.merge_from_file(path)


def test_empty_files_and_sections_change_nothing(config, tmp_path):
    path = tmp_path / "x.yaml"
    for text in ("", "# nothing\n", "MODEL:\n", "MODEL:\n  BACKBONE:\n"):
        path.write_text(text)
        config.merge_from_file(path)
    assert config == cfg
    assert not config.is_set("MODEL")


def test_odd_options(config):
    with pytest.raises(ValueError, match="KEY VALUE pairs"):
        config.merge_from_list(["SOLVER.BASE_LR=0.1"])


def test_explicitly_set_keys_are_remembered(config):
    config.merge_from_text("MODEL: {DEVICE: cpu}\nSOLVER: {BASE_LR: 0.001}")
    config.INPUT.MIN_SIZE_TEST = 600
    config.freeze()
    for copy in (config, config.clone(), pickle.loads(pickle.dumps(config))):
        assert copy.is_frozen()
        assert copy.is_set("MODEL.DEVICE")
        assert copy.is_set("SOLVER.BASE_LR")  # set, although to its default
        assert copy.is_set("INPUT.MIN_SIZE_TEST")
        assert copy.is_set("MODEL")
        assert not copy.is_set("MODEL.WEIGHT")
        assert not copy.is_set("TEST")
    assert not cfg.is_set("MODEL.DEVICE")
    with pytest.raises(ValueError, match="MODEL.DEVICE?"):
        config.is_set("MODEL.DEVISE")
    with pytest.raises(ValueError, match="unknown key"):
        config.is_set("MODEL.DEVICE.X")


def test_a_frozen_tree_refuses_every_change(config):
    config.freeze()
    with pytest.raises(AttributeError):
        config.merge_from_list(["SEED", 1])
    with pytest.raises(AttributeError):
        config.SEED = 1
    config.defrost()
    config.merge_from_list(["SEED", 1])


def test_dumped_text_gives_the_same_tree(config):
    config.merge_from_list(
        ["INPUT.MIN_SIZE_TRAIN", (640, 800), "DATASETS.TRAIN", ("a", "b"), "SOLVER.BASE_LR", 1e-5]
        + ["DATASETS.CUSTOM.mine.ANN_FILE", "x.json", "DATASETS.CUSTOM.mine.IMG_DIR", "2014"]
    )
    again = cfg.clone()
    again.merge_from_text(config.dump())
    assert again == config
    assert type(again.DATASETS.TRAIN) is tuple
    assert again.DATASETS.CUSTOM.mine.IMG_DIR == "2014"


def test_custom_datasets_take_new_names(config):
    config.merge_from_text("DATASETS: {CUSTOM: {mine: {ANN_FILE: a.json, IMG_DIR: images}}}")
    config.merge_from_list(["DATASETS.CUSTOM", "{'two': {'ANN_FILE': 'b', 'IMG_DIR': 'c'}}"])
    config.merge_from_list(["DATASETS.CUSTOM.mine.IMG_DIR", "elsewhere"])
    assert config.DATASETS.CUSTOM == {
        "mine": {"ANN_FILE": "a.json", "IMG_DIR": "elsewhere"},
        "two": {"ANN_FILE": "b", "IMG_DIR": "c"},
    }
    assert config.is_set("DATASETS.CUSTOM.two")
    assert not cfg.DATASETS.CUSTOM


def test_a_text_that_looks_like_a_dictionary_stays_a_text(config):
    config.merge_from_list(["MODEL.FBNET.ARCH_DEF", '{"block_cfg": {}}'])
    assert config.MODEL.FBNET.ARCH_DEF == '{"block_cfg": {}}'
    again = cfg.clone()
    again.merge_from_text(config.dump())
    assert again == config


def test_another_tree_merges(config):
    config.merge_from_other_cfg(CfgNode({"MODEL": {"MASK_ON": True}}))
    assert config.MODEL.MASK_ON
    assert config.is_set("MODEL.MASK_ON")


def test_upstreams_name_of_the_backbone_channels(config):
    config.merge_from_text("MODEL: {RESNETS: {BACKBONE_OUT_CHANNELS: 256}}")
    assert config.MODEL.BACKBONE.OUT_CHANNELS == 256


def test_a_default_changed_by_code_does_not_count_as_set(config):
    config.set_default("MODEL.RPN.USE_FPN", True)
    assert config.MODEL.RPN.USE_FPN is True
    assert not config.is_set("MODEL.RPN.USE_FPN")
    config.merge_from_list(["MODEL.RPN.USE_FPN", False])
    config.set_default("MODEL.RPN.USE_FPN", True)
    assert config.is_set("MODEL.RPN.USE_FPN")
    config.freeze()
    with pytest.raises(AttributeError):
        config.set_default("MODEL.RPN.USE_FPN", False)
