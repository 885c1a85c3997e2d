import pickle
import shutil
from collections import Counter, OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file

from maskrcnn_benchmark.checkpoint.loading import load_state_dict
from maskrcnn_benchmark.checkpoint.readers import model_tensors, read_weights
from maskrcnn_benchmark.config import make_default_config
from maskrcnn_benchmark.modeling.backbone import build_backbone
from tests.helpers.pickles import python2_pickle

ROOT = Path(__file__).parents[2]
WEIGHT = {"a.weight": torch.arange(3.0)}


@pytest.mark.parametrize(
    "content",
    [
        WEIGHT,
        {"model": WEIGHT, "iteration": 3},
        {"module.a.weight": WEIGHT["a.weight"]},
        {"model": {"module.a.weight": WEIGHT["a.weight"]}},
        {"model": OrderedDict(WEIGHT), "scheduler": {"milestones": Counter([3])}},
        {"state_dict": WEIGHT, "epoch": 1, "arch": "resnet50"},
    ],
    ids=["bare", "under model", "bare module.", "module.", "scheduler", "state_dict"],
)
@pytest.mark.parametrize(("ending", "zipped"), [("pth", True), ("pth", False), ("pkl", True)])
def test_finds_the_tensors_in_every_form_of_an_original_file(tmp_path, content, ending, zipped):
    path = tmp_path / f"w.{ending}"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)  # torch 1.0 wrote no zip
    tensors = model_tensors(read_weights(path))
    assert list(tensors) == ["a.weight"]
    assert torch.equal(tensors["a.weight"], torch.arange(3.0))


@pytest.mark.parametrize("holder", ["blobs", "model", None])
def test_detectrons_pickles(tmp_path, holder):
    blobs = {
        "conv1_w": np.arange(3, dtype=np.float32),
        "res2_0_branch2a_bn_s": np.float32([2, 3]),
        "res2_0_branch2a_bn_s_momentum": np.float32([0, 0]),
        "lr": np.float32([0.1]),
    }
    content = blobs if holder is None else {holder: blobs, "cfg": "NUM_GPUS: 8"}
    (tmp_path / "w.pkl").write_bytes(python2_pickle(content))
    tensors = model_tensors(read_weights(tmp_path / "w.pkl"))
    assert {name: tensor.tolist() for name, tensor in tensors.items()} == {
        "conv1.weight": [0, 1, 2],
        "layer1.0.bn1.weight": [2, 3],
        "layer1.0.bn1.running_mean": [0, 0],
        "layer1.0.bn1.running_var": [1, 1],
        "lr": [pytest.approx(0.1)],
    }


def test_safetensors(tmp_path):
    save_file(WEIGHT, tmp_path / "w.safetensors")
    tensors = model_tensors(read_weights(tmp_path / "w.safetensors"))
    assert list(tensors) == ["a.weight"]
    assert torch.equal(tensors["a.weight"], torch.arange(3.0))
    (tmp_path / "bad.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(ValueError, match=r"bad.safetensors: not a safetensors file"):
        read_weights(tmp_path / "bad.safetensors")


def test_a_resnet_with_a_deep_stem_is_refused():
    state = {"conv1.0.weight": torch.zeros(1), "layer1.0.conv1.weight": torch.zeros(1)}
    with pytest.raises(ValueError, match=r"several convolutions in its stem.*single 7x7"):
        model_tensors(state)


def test_torchvision_names_become_ours_and_epsilon_goes_into_the_variance(tmp_path):
    resnet = torchvision.models.resnet18()
    resnet.layer1[0].bn1.running_var.uniform_(0, 1)
    state = resnet.state_dict()
    arrays = {name: tensor.numpy() for name, tensor in state.items()}
    np.savez(tmp_path / "r.npz", **arrays)
    tensors = model_tensors(read_weights(tmp_path / "r.npz"))
    assert torch.equal(tensors["stem.conv1.weight"], state["conv1.weight"])
    assert torch.equal(tensors["stem.bn1.running_mean"], state["bn1.running_mean"])
    name = "layer1.0.bn1.running_var"
    torch.testing.assert_close(tensors[name], state[name] + 1e-5, rtol=0, atol=1e-7)
    assert "layer2.0.downsample.0.weight" in tensors
    gone = [n for n in tensors if n.startswith(("fc", "conv1", "bn1")) or "num_batches" in n]
    assert gone == []


def test_other_files_are_refused_with_a_clear_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="no weight file at .*none.pth"):
        read_weights(tmp_path / "none.pth")
    with pytest.raises(ValueError, match=r"w\.txt.*\.pth, \.pt, \.pkl, \.safetensors, \.npz"):
        read_weights(tmp_path / "w.txt")
    (tmp_path / "bad.pth").write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match="bad.pth"):
        read_weights(tmp_path / "bad.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="contains a list"):
        read_weights(tmp_path / "list.pth")
    (tmp_path / "list.pkl").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(ValueError, match="list.pkl: contains a list"):
        read_weights(tmp_path / "list.pkl")
    with pytest.raises(ValueError, match="under 'model', got list"):
        model_tensors({"model": [1]})
    with pytest.raises(ValueError, match="not tensors: .*'epoch'"):
        model_tensors({"epoch": 3})


class Evil:
    def __reduce__(self):
        return (print, ("executed",))


def test_code_in_a_file_is_not_executed(tmp_path, capsys):
    with (tmp_path / "evil.pth").open("wb") as file:
        pickle.dump({"model": Evil()}, file, protocol=2)
    with pytest.raises(ValueError, match="evil.pth"):
        read_weights(tmp_path / "evil.pth")
    shutil.copy(tmp_path / "evil.pth", tmp_path / "evil.pkl")
    with pytest.raises(ValueError, match="evil.pkl: .*__builtin__.print, which is refused"):
        read_weights(tmp_path / "evil.pkl")
    torch.save({"model": Evil()}, tmp_path / "evil2.pth")
    with pytest.raises(ValueError, match="evil2.pth"):
        read_weights(tmp_path / "evil2.pth")
    assert "executed" not in capsys.readouterr().out


def timm_resnet50():
    """Return a thin timm resnet50 state dict with hand-written names and random values."""
    state = {"conv1.weight": torch.rand(8, 3, 7, 7), "fc.weight": torch.rand(9, 128)}
    state["fc.bias"] = torch.rand(9)

    def add_norm(name, channels):
        for leaf in ("weight", "bias", "running_mean", "running_var"):
            state[f"{name}.{leaf}"] = torch.rand(channels)
        state[f"{name}.num_batches_tracked"] = torch.tensor(7)

    add_norm("bn1", 8)
    into = 8
    for stage, blocks in enumerate((3, 4, 6, 3), 1):
        width, out = 4 * 2 ** (stage - 1), 16 * 2 ** (stage - 1)
        for block in range(blocks):
            at = f"layer{stage}.{block}"
            shapes = ((width, into, 1, 1), (width, width, 3, 3), (out, width, 1, 1))
            for number, shape in enumerate(shapes, 1):
                state[f"{at}.conv{number}.weight"] = torch.rand(shape)
                add_norm(f"{at}.bn{number}", shape[0])
            if block == 0:
                state[f"{at}.downsample.0.weight"] = torch.rand(out, into, 1, 1)
                add_norm(f"{at}.downsample.1", out)
            into = out
    return state


@pytest.mark.parametrize("holder", [None, "state_dict"])
def test_a_resnet_of_timm_fills_the_backbone_of_a_detector(tmp_path, holder):
    theirs = timm_resnet50()
    torch.save(theirs if holder is None else {holder: theirs, "epoch": 3}, tmp_path / "r50.pth")
    cfg = make_default_config()
    cfg.merge_from_file(ROOT / "configs" / "e2e_ms_rcnn_R_50_FPN_1x.yaml")
    thin = ["WIDTH_PER_GROUP", 4, "RES2_OUT_CHANNELS", 16, "STEM_OUT_CHANNELS", 8]
    for name, value in zip(thin[::2], thin[1::2], strict=True):
        cfg.merge_from_list([f"MODEL.RESNETS.{name}", value])
    body = build_backbone(cfg).body
    report = load_state_dict(body, model_tensors(read_weights(tmp_path / "r50.pth")))
    assert report.complete and not report.unexpected
    for name, tensor in body.state_dict().items():
        source = theirs[name.removeprefix("stem.")]
        expected = source + 1e-5 if name.endswith("running_var") else source
        torch.testing.assert_close(tensor, expected, rtol=0, atol=1e-7)
