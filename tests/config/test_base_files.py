"""``_BASE_``: merge order of a chain of files, and errors."""

import pytest

from maskrcnn_benchmark.config import cfg


@pytest.fixture
def config():
    return cfg.clone()


def write(folder, /, **files):
    """Write ``name.yaml`` for each keyword (``a__b`` is ``a/b.yaml``); return the last."""
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ".yaml")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return path


def test_a_file_overrides_its_base_and_the_base_its_own(config, tmp_path):
    path = write(
        tmp_path,
        root="SOLVER: {MAX_ITER: 1, BASE_LR: 0.1, GAMMA: 0.1}\nMODEL: {MASK_ON: True}",
        middle="_BASE_: root.yaml\nSOLVER: {MAX_ITER: 2, BASE_LR: 0.2}",
        top="SOLVER: {MAX_ITER: 3}\n_BASE_: middle.yaml",  # regardless of the position of the key
    )
    config.merge_from_file(path)
    assert (config.SOLVER.MAX_ITER, config.SOLVER.BASE_LR, config.SOLVER.GAMMA) == (3, 0.2, 0.1)
    assert config.MODEL.MASK_ON
    assert "_BASE_" not in config.dump()


def test_the_path_is_relative_to_the_file_that_names_it(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write(
        tmp_path,
        root="SEED: 1",  # a decoy for paths relative to the current folder
        one__root="SEED: 2",
        one__middle="_BASE_: root.yaml",
        two__top="_BASE_: ../one/middle.yaml",
    )
    config.merge_from_file(path)
    assert config.SEED == 2
    config.merge_from_file("two/top.yaml")
    assert config.SEED == 2
    config.merge_from_file(write(tmp_path, absolute=f"_BASE_: {tmp_path / 'root.yaml'}"))
    assert config.SEED == 1


def test_keys_of_the_base_count_as_set(config, tmp_path):
    device = f"MODEL: {{DEVICE: {cfg.MODEL.DEVICE}}}"  # set, although to its default
    path = write(tmp_path, root=device, middle="_BASE_: root.yaml", top="_BASE_: middle.yaml")
    config.merge_from_file(path)
    assert config == cfg
    assert config.is_set("MODEL.DEVICE")
    assert not config.is_set("SOLVER")


def test_a_data_set_of_the_base_can_be_completed(config, tmp_path):
    path = write(
        tmp_path,
        root="DATASETS: {CUSTOM: {mine: {ANN_FILE: a.json, IMG_DIR: a}}}",
        top="_BASE_: root.yaml\nDATASETS: {CUSTOM: {mine: {IMG_DIR: b}}}",
    )
    config.merge_from_file(path)
    assert dict(config.DATASETS.CUSTOM.mine) == {"ANN_FILE": "a.json", "IMG_DIR": "b"}


def test_mistakes_name_the_file_they_are_in(config, tmp_path):
    path = write(
        tmp_path,
        root="MODEL: {WEIGTH: x}\nSEED: 5",
        middle="_BASE_: root.yaml\nSEED: 6",
        top="_BASE_: middle.yaml\nSOLVER: {MAX_ITER: many}",
    )
    with pytest.raises(ValueError, match=r"SOLVER\.MAX_ITER") as caught:
        config.merge_from_file(path)
    first, second = str(caught.value).splitlines()
    assert first.startswith(f"{tmp_path / 'root.yaml'}: unknown key MODEL.WEIGTH; did you mean")
    assert second.startswith(f"{tmp_path / 'top.yaml'}: SOLVER.MAX_ITER must be of type int")
    assert config == cfg  # nothing is merged if there is an error
    write(tmp_path, root="MODEL: [")
    with pytest.raises(ValueError, match=r"root\.yaml is not valid YAML"):
        config.merge_from_file(path)


def test_a_missing_base_names_the_file_that_refers_to_it(config, tmp_path):
    path = write(tmp_path, middle="_BASE_: sub/gone.yaml", top="_BASE_: middle.yaml")
    with pytest.raises(FileNotFoundError, match="does not exist") as caught:
        config.merge_from_file(path)
    asks = f"{tmp_path / 'middle.yaml'}: _BASE_ 'sub/gone.yaml': config file "
    assert str(caught.value).startswith(f"{asks}{tmp_path / 'sub/gone.yaml'} does not exist")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        config.merge_from_file(write(tmp_path, folder="_BASE_: ."))


@pytest.mark.parametrize(
    ("middle", "names"),
    [
        ("top.yaml", ["top", "middle", "top"]),
        ("../{}/top.yaml", ["top", "middle", "top"]),
        ("middle.yaml", ["top", "middle", "middle"]),
    ],
)
def test_a_cycle_is_shown(config, tmp_path, middle, names):
    base = middle.format(tmp_path.name)
    path = write(tmp_path, middle=f"_BASE_: {base}", top="_BASE_: middle.yaml")
    with pytest.raises(ValueError, match="_BASE_ forms a cycle") as caught:
        config.merge_from_file(path)
    shown = str(caught.value).removeprefix("_BASE_ forms a cycle: ").split(" -> ")
    assert [name.rsplit("/", 1)[-1] for name in shown] == [f"{name}.yaml" for name in names]


@pytest.mark.parametrize("value", ["3", "", "[a.yaml, b.yaml]", "{a: b}", "''"])
def test_a_base_is_one_path(config, tmp_path, value):
    path = write(tmp_path, top=f"_BASE_: {value}")
    with pytest.raises(ValueError, match=r"top\.yaml: _BASE_ must be the path of one YAML file"):
        config.merge_from_file(path)


@pytest.mark.parametrize("section", ["{}", "MODEL: {{{}}}", "DATASETS: {{CUSTOM: {{{}}}}}"])
def test_only_the_top_level_of_a_file_has_a_base(config, tmp_path, section):
    path = write(tmp_path, root="SEED: 5")
    text = section.format(f"_BASE_: {path}")
    with pytest.raises(ValueError, match=r"text: .*_BASE_ cannot be merged: .* of a YAML file"):
        config.merge_from_text(text)
    if section != "{}":
        with pytest.raises(ValueError, match=r"top\.yaml: .*_BASE_ cannot be merged"):
            config.merge_from_file(write(tmp_path, top=text))
    with pytest.raises(ValueError, match="options: _BASE_ cannot be merged"):
        config.merge_from_list(["_BASE_", str(path)])
    with pytest.raises(ValueError, match="_BASE_ cannot be merged"):
        config.merge_from_other_cfg({"_BASE_": str(path)})
    assert config == cfg
