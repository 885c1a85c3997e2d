import logging
import multiprocessing
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel
from yacs.config import CfgNode

from maskrcnn_benchmark.checkpoint.checkpointer import Checkpointer, DetectronCheckpointer
from tests.helpers.file_server import serve
from tests.helpers.pickles import python2_pickle
from tests.helpers.vectors import load_vector


def parts(folder, features=3):
    model = nn.Linear(features, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3], gamma=0.5)
    return Checkpointer(model, optimizer, scheduler, str(folder))


def trained(folder):
    checkpointer = parts(folder)
    for _ in range(4):
        checkpointer.optimizer.zero_grad()
        checkpointer.model(torch.ones(1, 3)).sum().backward()
        checkpointer.optimizer.step()
        checkpointer.scheduler.step()
    return checkpointer


def test_files_and_keys_are_the_originals(tmp_path):
    recorded = load_vector("checkpoint_format")[0]["data"]
    trained(tmp_path).save("model_0000010", iteration=10)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(recorded["files"])
    content = torch.load(tmp_path / "model_0000010.pth", weights_only=True)
    assert list(content) == recorded["keys"]
    assert list(content["model"]) == recorded["model_keys"]
    assert list(content["optimizer"]) == recorded["optimizer_keys"]
    assert content["iteration"] == recorded["iteration"]
    note = (tmp_path / "last_checkpoint").read_text()
    assert note == recorded["last_checkpoint_content"].replace("<save_dir>", str(tmp_path))


def test_resuming_restores_all_and_returns_the_rest(tmp_path):
    first = trained(tmp_path)
    first.save("model_0000004", iteration=4)
    second = parts(tmp_path)
    torch.save({"weight": torch.zeros(2, 3)}, tmp_path / "other.pth")
    rest = second.load(tmp_path / "other.pth")  # last_checkpoint takes precedence
    assert rest == {"iteration": 4}
    assert torch.equal(first.model.weight, second.model.weight)
    momentum = second.optimizer.state_dict()["state"][0]["momentum_buffer"]
    assert torch.equal(momentum, first.optimizer.state_dict()["state"][0]["momentum_buffer"])
    assert second.scheduler.last_epoch == 4
    assert second.optimizer.param_groups[0]["lr"] == pytest.approx(0.05)


class Counter:
    """A stateful part of training: one number."""

    def __init__(self, value=0):
        self.value = value

    def state_dict(self):
        return {"value": self.value}

    def load_state_dict(self, state):
        self.value = state["value"]


def test_further_parts_are_saved_and_restored(tmp_path):
    first = trained(tmp_path)
    first.parts["scaler"] = Counter(7)
    first.save("model_0000004", iteration=4)
    second = parts(tmp_path)
    second.parts["scaler"] = Counter()
    assert second.load() == {"iteration": 4}
    assert second.parts["scaler"].value == 7


@pytest.fixture
def log(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("maskrcnn_benchmark"), "propagate", True)
    caplog.set_level(logging.INFO)
    return caplog


def test_added_and_removed_parts_are_logged(tmp_path, log):
    first = trained(tmp_path)
    first.parts["scaler"] = Counter(7)
    first.save("model_0000004", iteration=4)
    second = parts(tmp_path)
    second.parts["ema"] = Counter(1)
    assert second.load() == {"iteration": 4}  # a stale state is not saved again
    assert second.parts["ema"].value == 1
    assert "model_0000004.pth has no state of the ema: it starts from scratch" in log.text
    assert "has a state of the scaler, which is not used in this run" in log.text


def test_starting_from_weights_loads_only_the_weights(tmp_path):
    trained(tmp_path / "a").save("model_final", iteration=4)
    fresh = parts(tmp_path / "b")
    assert fresh.load(tmp_path / "a" / "model_final.pth") == {}
    assert fresh.scheduler.last_epoch == 0
    assert fresh.optimizer.state_dict()["state"] == {}
    saved = torch.load(tmp_path / "a" / "model_final.pth", weights_only=True)["model"]
    assert torch.equal(fresh.model.weight, saved["weight"])


def test_averaged_weights_are_used_for_fine_tuning_but_not_for_resuming(tmp_path):
    first = parts(tmp_path)
    average = AveragedModel(first.model)
    average.update_parameters(first.model)
    with torch.no_grad():
        for parameter in average.module.parameters():
            parameter.fill_(7)
    first.parts["ema"] = average
    first.save("model_final", iteration=4)

    resumed = parts(tmp_path)
    resumed.parts["ema"] = AveragedModel(resumed.model)
    resumed.load()
    assert torch.equal(resumed.model.weight, first.model.weight)
    assert torch.equal(resumed.parts["ema"].module.weight, average.module.weight)
    assert resumed.parts["ema"].n_averaged == 1

    started = parts(tmp_path / "elsewhere")
    started.load(tmp_path / "model_final.pth", require_all=True)
    assert torch.equal(started.model.weight, average.module.weight)


def test_weights_for_evaluation_must_be_complete(tmp_path):
    torch.save({"weight": torch.zeros(2, 3)}, tmp_path / "part.pth")
    assert parts(tmp_path).load(tmp_path / "part.pth") == {}
    with pytest.raises(ValueError, match=r"(?s)part.pth does not contain the whole model.*bias"):
        parts(tmp_path).load(tmp_path / "part.pth", require_all=True)


def test_frozen_parts_must_be_in_the_file(tmp_path):
    torch.save({"weight": torch.zeros(2, 3)}, tmp_path / "part.pth")
    frozen = parts(tmp_path)
    frozen.model.weight.requires_grad_(False)
    assert frozen.load(tmp_path / "part.pth") == {}
    frozen.model.bias.requires_grad_(False)
    with pytest.raises(ValueError, match=r"part.pth lacks frozen parameters .*: 1: bias;"):
        frozen.load(tmp_path / "part.pth")


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(3, 2)
        self.roi_heads = nn.ModuleDict({"predictor": nn.ModuleDict({"cls_score": nn.Linear(2, 3)})})


def of_classes(folder, *names):
    checkpointer = Checkpointer(Classifier(), save_dir=folder)
    checkpointer.metadata = {"class_names": ["__background__", *names], "category_ids": [4, 9]}
    return checkpointer


def test_classes_are_stored_and_compared(tmp_path, caplog):
    cats = of_classes(tmp_path / "a", "cat", "dog")
    cats.save("model_final", iteration=4)
    path = tmp_path / "a" / "model_final.pth"
    content = torch.load(path, weights_only=True)
    assert content["class_names"] == ["__background__", "cat", "dog"]
    assert content["category_ids"] == [4, 9]
    assert of_classes(tmp_path / "a", "cat", "dog").load() == {"iteration": 4}

    same = of_classes(tmp_path / "b", "cat", "dog")
    same.load(path, require_all=True)
    assert torch.equal(same.model.state_dict()["body.weight"], content["model"]["body.weight"])

    cows = of_classes(tmp_path / "b", "cat", "cow")  # the same number of other classes
    before = {name: tensor.clone() for name, tensor in cows.model.state_dict().items()}
    with pytest.raises(
        ValueError, match=r"model_final.pth does not match the data: .*dog.*cow.*dog and cow$"
    ):
        cows.load(path, require_all=True)
    with caplog.at_level("INFO"):
        assert cows.load(path) == {}
    assert "Fine-tuning for other classes: it has 2 classes (cat, dog)" in caplog.text
    assert "re-initialized: 2: roi_heads.predictor.cls_score.weight" in caplog.text
    for name, tensor in cows.model.state_dict().items():
        expected = before if "cls_score" in name else content["model"]
        assert torch.equal(tensor, expected[name])

    with pytest.raises(ValueError, match=r"cannot resume .*dog.*cow.*fine-tune, set MODEL.WEIGHT"):
        of_classes(tmp_path / "a", "cat", "cow").load()


def test_without_weights_the_initial_values_are_kept(tmp_path):
    fresh = parts(tmp_path)
    before = fresh.model.weight.clone()
    assert fresh.load("") == {}
    assert torch.equal(fresh.model.weight, before)


def test_a_moved_folder_still_resumes(tmp_path):
    trained(tmp_path / "a").save("model_0000004", iteration=4)
    shutil.move(tmp_path / "a", tmp_path / "b")
    assert parts(tmp_path / "b").load() == {"iteration": 4}


def test_a_relative_folder_resumes_from_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trained("out").save("model_0000004", iteration=4)
    assert Path("out/last_checkpoint").read_text() == "out/model_0000004.pth"
    monkeypatch.chdir("/")
    assert parts(tmp_path / "out").load() == {"iteration": 4}


def test_a_missing_checkpoint_is_an_error_with_a_fix(tmp_path):
    trained(tmp_path).save("model_0000004", iteration=4)
    (tmp_path / "model_0000004.pth").unlink()
    with pytest.raises(FileNotFoundError, match="delete .*last_checkpoint to start from scratch"):
        parts(tmp_path).load()


def test_resuming_another_model_is_an_error(tmp_path):
    trained(tmp_path).save("model_0000004", iteration=4)
    with pytest.raises(ValueError, match="(?s)another model.*weight"):
        parts(tmp_path, features=5).load()


def test_a_failed_save_keeps_the_previous_checkpoint(tmp_path, monkeypatch):
    checkpointer = trained(tmp_path)
    checkpointer.save("model_0000004", iteration=4)

    def crash(content, file):
        file.write(b"half a file")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", crash)
    for name in ("model_0000004", "model_0000008"):
        with pytest.raises(KeyboardInterrupt):
            checkpointer.save(name, iteration=8)
    monkeypatch.undo()
    assert parts(tmp_path).load() == {"iteration": 4}
    assert not (tmp_path / "model_0000008.pth").exists()


def test_last_checkpoint_is_complete_whenever_a_process_is_killed(tmp_path):
    def save_without_end():
        for step in range(1_000_000):
            first.save(f"model_{step % 3:07d}", iteration=step)

    first = parts(tmp_path, features=30_000)
    first.save("model_0000000", iteration=0)
    for attempt in range(8):
        process = multiprocessing.get_context("fork").Process(target=save_without_end)
        process.start()
        time.sleep(0.05 + 0.007 * attempt)
        process.kill()
        process.join()
        second = parts(tmp_path, features=30_000)
        assert second.load()["iteration"] >= 0
        assert torch.equal(second.model.weight, first.model.weight)


def test_a_damaged_checkpoint_is_reported_with_the_others(tmp_path):
    checkpointer = trained(tmp_path)
    for step in (2, 4):
        checkpointer.save(f"model_000000{step}", iteration=step)
    whole = (tmp_path / "model_0000004.pth").read_bytes()
    (tmp_path / "model_0000004.pth").write_bytes(whole[: len(whole) // 2])
    way_out = r"0000004.pth: .*write its path to .*last_checkpoint \(\S*model_0000002.pth\)"
    with pytest.raises(ValueError, match=way_out):
        parts(tmp_path).load()
    (tmp_path / "last_checkpoint").write_text(str(tmp_path / "model_0000002.pth"))
    assert parts(tmp_path).load() == {"iteration": 2}


def test_another_optimizer_is_distinguished_from_a_damaged_file(tmp_path):
    trained(tmp_path).save("model_0000004", iteration=4)
    other = parts(tmp_path)
    other.optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(1))]})
    with pytest.raises(ValueError, match=r"the optimizer of the checkpoint does not match.*WEIGHT"):
        other.load()


def test_loading_is_logged(tmp_path, log):
    first = trained(tmp_path)
    first.metadata["config"] = "SOLVER: {BASE_LR: 0.1, MAX_ITER: 9}"
    first.save("model_0000004", iteration=4)
    second = parts(tmp_path)
    second.metadata["config"] = "SOLVER: {BASE_LR: 0.1, MAX_ITER: 10}"
    second.load("other.pth")
    path = tmp_path / "model_0000004.pth"
    assert f"other.pth is ignored: {tmp_path} has a last checkpoint" in log.messages
    goes_on = f"Resuming from the checkpoint {path} with optimizer, schedule and iteration"
    assert goes_on in log.messages
    assert "Settings changed since the checkpoint: SOLVER.MAX_ITER 9 -> 10." in log.text
    log.clear()
    parts(tmp_path / "new").load(path)
    anew = f"Fine-tuning the weights in {path}: optimizer, schedule and iteration start over"
    assert anew in log.messages
    log.clear()
    Checkpointer(nn.Linear(3, 2)).load(path)
    assert f"Loading the weights in {path}" in log.messages


def test_nothing_is_written_when_not_asked(tmp_path):
    model = nn.Linear(1, 1)
    Checkpointer(model, save_dir=tmp_path / "out", save_to_disk=False).save("model_final")
    Checkpointer(model).save("model_final")
    assert not (tmp_path / "out").exists()


def test_config_and_class_names_are_stored_and_not_returned(tmp_path):
    cfg = CfgNode({"SOLVER": CfgNode({"BASE_LR": 0.5})})
    checkpointer = DetectronCheckpointer(cfg, nn.Linear(1, 1), save_dir=tmp_path)
    checkpointer.metadata["class_names"] = ["__background__", "cat"]
    checkpointer.save("model_final", iteration=2)
    content = torch.load(tmp_path / "model_final.pth", weights_only=True)
    assert CfgNode.load_cfg(content["config"]) == cfg
    assert content["class_names"] == ["__background__", "cat"]
    assert checkpointer.load() == {"iteration": 2}


def backbone_config(tmp_path, url=""):
    """Return a config with a small catalog, and a model with a backbone and a head parameter."""
    (tmp_path / "catalog.py").write_text(
        "class ModelCatalog:\n"
        "    @staticmethod\n"
        "    def get(name):\n"
        f"        files = {{'ImageNet/R-50': '{url}/x/R-50.pkl', 'here': '{tmp_path}/w.pkl'}}\n"
        "        return files[name]\n"
    )
    cfg = CfgNode({"MODEL": CfgNode({"PRETRAINED_MODELS": str(tmp_path / "weights")})})
    cfg.PATHS_CATALOG = str(tmp_path / "catalog.py")
    body = nn.ModuleDict({"conv1": nn.Conv2d(1, 1, 1, bias=False)})
    layer = nn.ModuleDict({"0": body})
    model = nn.ModuleDict({"layer1": layer, "rpn": nn.Linear(1, 1, bias=False)})
    return DetectronCheckpointer(cfg, model, save_dir=tmp_path / "out")


BLOBS = python2_pickle({"blobs": {"res2_0_branch2a_w": np.full((1, 1, 1, 1), 7, np.float32)}})


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("catalog://ImageNet/R-50", "ImageNet/R-50.pkl"),
        ("{url}/y/R-50.pkl", "127.0.0.1_{port}/y/R-50.pkl"),
    ],
)
def test_urls_and_catalog_names_are_downloaded(tmp_path, name, kept):
    with serve() as server:
        server.content = BLOBS
        name = name.format(url=server.url)
        for _ in range(2):
            checkpointer = backbone_config(tmp_path, server.url)
            assert checkpointer.load(name) == {}
            assert checkpointer.model["layer1"]["0"]["conv1"].weight.item() == 7
        assert len(server.requests) == 1
        files = [path for path in (tmp_path / "weights").rglob("*") if path.is_file()]
        assert files == [tmp_path / "weights" / kept.format(port=server.server_port)]


def test_a_catalog_may_name_a_file_on_this_machine(tmp_path):
    (tmp_path / "w.pkl").write_bytes(BLOBS)
    checkpointer = backbone_config(tmp_path)
    checkpointer.load("catalog://here")
    assert checkpointer.model["layer1"]["0"]["conv1"].weight.item() == 7


def test_a_url_of_another_file_type_is_not_downloaded(tmp_path):
    with serve() as server:
        with pytest.raises(ValueError, match=r"page.html: a weight file must end in .pth"):
            backbone_config(tmp_path).load(f"{server.url}/page.html")
        assert server.requests == []


def test_a_bare_backbone_cannot_be_evaluated(tmp_path):
    (tmp_path / "w.pkl").write_bytes(BLOBS)
    with pytest.raises(ValueError, match=r"(?s)contains the weights of a backbone.*rpn.weight"):
        backbone_config(tmp_path).load(tmp_path / "w.pkl", require_all=True)
