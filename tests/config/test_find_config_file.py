"""Resolution of ``--config-file``: a path, or the name of a shipped config."""

import shutil
from pathlib import Path

import pytest

from maskrcnn_benchmark.config import cfg, yaml_files
from maskrcnn_benchmark.config.yaml_files import find_config_file, shipped_configs

CONFIGS = Path(__file__).parents[2] / "configs"
NAME = "e2e_ms_rcnn_R_50_FPN_1x"


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "name",
    [NAME, "paper/ms_rcnn_R_50_FPN_18e", "quick_schedules/rpn_R_50_FPN_quick"],
)
@pytest.mark.parametrize("suffix", ["", ".yaml"])
def test_a_shipped_config_is_found_by_its_name(name, suffix):
    expected, found = cfg.clone(), cfg.clone()
    expected.merge_from_file(CONFIGS / f"{name}.yaml")
    found.merge_from_file(name + suffix)
    assert found == expected != cfg
    assert find_config_file(Path(name + suffix)).samefile(CONFIGS / f"{name}.yaml")


def test_all_of_them_have_a_name():
    assert len(shipped_configs()) == len(list(CONFIGS.rglob("*.yaml"))) > 30


def test_a_file_of_the_user_comes_first(tmp_path):
    for name, value in ((NAME, 5), (f"{NAME}.yaml", 6)):
        (tmp_path / name).write_text(f"SEED: {value}")
        found = cfg.clone()
        found.merge_from_file(name)
        seed = found.SEED
        assert seed == value
    assert find_config_file(NAME) == Path(NAME)
    (tmp_path / "paper").mkdir()  # a folder is not a config
    assert find_config_file("paper/ms_rcnn_R_50_FPN_18e").is_relative_to(CONFIGS)


def test_a_base_may_be_a_name(tmp_path):
    (tmp_path / "mine.yaml").write_text(f"_BASE_: {NAME}\nSEED: 5")
    expected, found = cfg.clone(), cfg.clone()
    expected.merge_from_file(NAME)
    expected.SEED = 5
    found.merge_from_file("mine.yaml")
    assert found == expected


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("e2e_ms_rcnn_R50_FPN_1x.yaml", NAME),
        (f"configs/{NAME}.yaml", NAME),
        ("ms_rcnn_R_50_FPN_18e", "paper/ms_rcnn_R_50_FPN_18e"),
    ],
)
def test_an_unknown_name_is_reported_with_the_nearest(name, nearest):
    with pytest.raises(FileNotFoundError) as caught:
        cfg.clone().merge_from_file(name)
    asked = name.removesuffix(".yaml")
    problem = f"config file {name} does not exist, and no shipped config is named {asked!r}; "
    assert str(caught.value).startswith(f"{problem}did you mean {nearest} or ")
    assert "\n" not in str(caught.value)


def test_nothing_is_suggested_without_a_similar_name(tmp_path):
    with pytest.raises(FileNotFoundError, match="no shipped config is named '.*/settings'$"):
        find_config_file(tmp_path / "settings.yaml")


def test_a_wheel_contains_the_configs(tmp_path, monkeypatch):
    package = tmp_path / "site-packages" / "maskrcnn_benchmark"
    shutil.copytree(CONFIGS, package / "configs")
    (package.parent / "configs").mkdir()  # of another project
    monkeypatch.setattr(yaml_files, "_PACKAGE", package)
    assert find_config_file(NAME) == package / "configs" / f"{NAME}.yaml"
