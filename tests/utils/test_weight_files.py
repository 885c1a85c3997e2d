from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
import torchvision

from maskrcnn_benchmark.utils.weight_files import model_tensors, read_weights

WEIGHT = {"a.weight": torch.arange(3.0)}


@pytest.mark.parametrize(
    "content",
    [WEIGHT, {"model": WEIGHT, "iteration": 3}, {"model": {"module.a.weight": WEIGHT["a.weight"]}}],
    ids=["bare", "under model", "module. prefix"],
)
def test_finds_the_tensors_in_every_form_of_an_original_file(tmp_path, content):
    torch.save(content, tmp_path / "w.pth")
    tensors = model_tensors(read_weights(tmp_path / "w.pth"))
    assert list(tensors) == ["a.weight"]
    assert torch.equal(tensors["a.weight"], torch.arange(3.0))


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


def test_other_files_are_refused_in_words(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file of weights at .*none.pth"):
        read_weights(tmp_path / "none.pth")
    with pytest.raises(ValueError, match=r"w\.txt.*\.pth, \.pt, \.npz"):
        read_weights(tmp_path / "w.txt")
    (tmp_path / "bad.pth").write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match="bad.pth"):
        read_weights(tmp_path / "bad.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="holds a list"):
        read_weights(tmp_path / "list.pth")
    with pytest.raises(ValueError, match="not tensors: .*'epoch'"):
        model_tensors({"epoch": 3})


class Evil:
    def __reduce__(self):
        return (print, ("executed",))


def test_a_file_with_code_in_it_is_not_run(tmp_path, capsys):
    with (tmp_path / "evil.pth").open("wb") as file:
        pickle.dump({"model": Evil()}, file, protocol=2)
    with pytest.raises(ValueError, match="evil.pth"):
        read_weights(tmp_path / "evil.pth")
    torch.save({"model": Evil()}, tmp_path / "evil2.pth")
    with pytest.raises(ValueError, match="evil2.pth"):
        read_weights(tmp_path / "evil2.pth")
    assert "executed" not in capsys.readouterr().out
