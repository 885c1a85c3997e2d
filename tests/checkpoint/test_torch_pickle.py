"""Checkpoints that contain objects of other programs; code in a file is never executed."""

import copyreg
import functools
import os
import pickle
import sys
import types
import zipfile
from collections import OrderedDict, defaultdict

import numpy as np
import pytest
import torch

from maskrcnn_benchmark.checkpoint import array_pickle
from maskrcnn_benchmark.checkpoint.readers import model_tensors, read_weights
from maskrcnn_benchmark.checkpoint.torch_pickle import one_line, read_foreign_checkpoint


def files(folder):
    return [path.name for path in folder.iterdir()]


@pytest.fixture
def foreign(monkeypatch):
    """A module with a class like mmengine's HistoryBuffer, missing when the file is read."""
    module = types.ModuleType("foreign_engine")
    source = """
import numpy as np, enum
class HistoryBuffer:
    def __init__(self):
        self._log_history, self.methods = np.arange(3.0), {"mean": np.mean}
    def __setstate__(self, state):
        open("executed", "w").close()
class Stage(enum.Enum):
    TRAIN = 1
class Slots:
    __slots__ = ("a",)
    def __init__(self): self.a = 1
class Items(list): pass
class Table(dict): pass
def function(): pass
"""
    exec(source, module.__dict__)  # noqa: S102 our own text
    for value in vars(module).values():
        if isinstance(value, type) and value.__module__ != "enum":
            value.__module__ = module.__name__
    module.function.__module__ = module.__name__
    monkeypatch.setitem(sys.modules, "foreign_engine", module)
    return module


def mmengine_like(module):
    weight = torch.arange(6.0).reshape(2, 3)
    optimizer = {"state": {0: {"momentum_buffer": torch.ones(2)}}, "param_groups": [{"lr": 0.02}]}
    return {
        "meta": {"epoch": 12, "cfg": "model = dict()", "dataset_meta": {"classes": ("cat", "dog")}},
        "state_dict": OrderedDict(weight=weight, slice=weight[:, 1:], half=weight.half()),
        "message_hub": {
            "log_scalars": OrderedDict(loss=module.HistoryBuffer()),
            "runtime_info": OrderedDict(iter=7, best=np.float64(0.5), losses=np.arange(3)),
            "resumed_keys": {"a": True},
        },
        "optimizer": optimizer,
        "stage": module.Stage.TRAIN,
        "odd": [1, module.Slots()],
        "items": module.Items([1]),
        "table": module.Table(a=1),
        "function": module.function,
        "partial": functools.partial(print, "x"),
        "default": defaultdict(list, a=[1]),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "dtype": torch.float16,
    }


@pytest.mark.parametrize("zipped", [True, False])
def test_plain_values_are_read_and_others_are_dropped(
    foreign, tmp_path, monkeypatch, caplog, zipped
):
    content = mmengine_like(foreign)
    path = tmp_path / "epoch_12.pth"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    monkeypatch.delitem(sys.modules, "foreign_engine")
    monkeypatch.chdir(tmp_path)
    with caplog.at_level("INFO"):
        read = read_weights(path)
    for name in ("HistoryBuffer", "Stage", "Slots", "Items", "Table", "function"):
        assert f"foreign_engine.{name}" in caplog.text
    assert "functools.partial" in caplog.text and "collections.defaultdict" in caplog.text
    assert list(read) == ["meta", "state_dict", "message_hub", "optimizer", "parameter", "dtype"]
    assert read["meta"]["dataset_meta"]["classes"] == ["cat", "dog"]
    hub = read["message_hub"]
    assert hub["log_scalars"] == {} and hub["resumed_keys"] == {"a": True}
    assert hub["runtime_info"]["best"] == 0.5
    assert hub["runtime_info"]["losses"].tolist() == [0, 1, 2]
    assert read["optimizer"]["state"][0]["momentum_buffer"].equal(torch.ones(2))
    assert (read["parameter"].tolist(), read["dtype"]) == ([1, 1], torch.float16)
    tensors = model_tensors(read)
    for name, tensor in content["state_dict"].items():
        assert tensors[name].equal(tensor) and tensors[name].dtype == tensor.dtype
    assert files(tmp_path) == ["epoch_12.pth"]


class Reduced:
    def __init__(self, *how):
        self.how = how

    def __reduce__(self):
        return self.how


def _hostile():
    make = ("open('executed', 'w').close()",)
    system, python = Reduced(os.system, ("touch executed",)), Reduced(exec, make)
    attribute = Reduced(getattr, (Reduced(__import__, ("os",)), "system"))
    return {
        "system": system,
        "exec": python,
        "eval": Reduced(eval, make),
        "nested": {"a": [1, {"b": (system, [python])}]},
        "as a key": {system: 1},
        "call of a call": Reduced(functools.partial, (os.system, "touch executed")),
        "attribute": attribute,
        "state": Reduced(copyreg._reconstructor, (object, object, None), {"__setstate__": system}),
        "slots": Reduced(types.SimpleNamespace, (), (None, {"__class__": system})),
        "items": Reduced(OrderedDict, (), None, None, iter([("a", python)])),
        "tensor of it": Reduced(
            torch._utils._rebuild_tensor_v2, (system, 0, (1,), (1,), False, {})
        ),
        "a loader": Reduced(torch.load, ("evil.pth",)),
        "fromfile": Reduced(np.fromfile, ("executed",)),
    }


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", _hostile())
def test_a_hostile_file_runs_nothing(tmp_path, monkeypatch, name, zipped):
    monkeypatch.chdir(tmp_path)
    content = {"model": {"w": torch.ones(1)}, "extra": _hostile()[name]}
    torch.save(content, "evil.pth", _use_new_zipfile_serialization=zipped)
    try:
        read, left_out = read_foreign_checkpoint(tmp_path / "evil.pth")
    except ValueError as error:
        assert "evil.pth: cannot be read safely (" in str(error)
    else:
        assert left_out and read["model"]["w"].equal(torch.ones(1))
    assert files(tmp_path) == ["evil.pth"]


def test_the_hostile_files_would_run_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("system", "exec", "nested", "items"):
        torch.save({"extra": _hostile()[name]}, "evil.pth")
        torch.load("evil.pth", weights_only=False)
        assert (tmp_path / "executed").exists(), name
        (tmp_path / "executed").unlink()


def _archive(tmp_path, code):
    """Return a torch file whose pickle is ``code``."""
    torch.save({"a": 1}, tmp_path / "plain.pth")
    with (
        zipfile.ZipFile(tmp_path / "plain.pth") as old,
        zipfile.ZipFile(tmp_path / "evil.pth", "w") as new,
    ):
        for name in old.namelist():
            new.writestr(name, code if name.endswith("data.pkl") else old.read(name))
    (tmp_path / "plain.pth").unlink()
    return tmp_path / "evil.pth"


@pytest.mark.parametrize(
    "code",
    [
        b"cos\nsystem\n(S'touch executed'\ntR.",
        b"(S'touch executed'\nios\nsystem\n.",  # INST
        b"(cos\nsystem\nS'touch executed'\no.",  # OBJ
        b"\x80\x02cos\nsystem\nU\x0etouch executed\x85\x81.",  # NEWOBJ
        # attributes of functions and classes that the reader itself returns
        b"ctorch._utils\n_rebuild_tensor_v2\n(N}S'__code__'\nS'x'\nstb.",
        b"ctorch._utils\n_rebuild_tensor_v2\n}S'__defaults__'\nS'x'\nsb.",
        b"ccollections\nOrderedDict\n(N}S'items'\nS'x'\nstb.",
        b"cnumpy.core.multiarray\n_reconstruct\n(N}S'array'\nS'x'\nstb.",
        b"cfoo\nBar\n(N}S'named'\nS'x'\nstb.",
        b"(dS'a'\nccollections\nOrderedDict\n)R(N}S'items'\nI1\nstbs.",
    ],
)
def test_hand_written_opcodes(tmp_path, monkeypatch, code):
    monkeypatch.chdir(tmp_path)
    path = _archive(tmp_path, code)
    before = {k: vars(v) if isinstance(v, type) else None for k, v in vars(array_pickle).items()}
    defaults = torch._utils._rebuild_tensor_v2.__defaults__
    with pytest.raises(ValueError, match="evil.pth"):
        read_foreign_checkpoint(path)
    assert files(tmp_path) == ["evil.pth"]
    assert torch._utils._rebuild_tensor_v2.__defaults__ == defaults
    assert not vars(torch._utils._rebuild_tensor_v2)
    after = {k: vars(v) if isinstance(v, type) else None for k, v in vars(array_pickle).items()}
    assert after == before


def test_deep_and_recursive_content_is_a_clear_error(tmp_path):
    deep = b"]" * 3000 + b"a" * 2999 + b"."
    with pytest.raises(ValueError, match="cannot be read safely"):
        read_foreign_checkpoint(_archive(tmp_path, b"\x80\x02" + deep))
    endless = b"]q\x00h\x00a."  # a list that contains itself
    with pytest.raises(ValueError, match="cannot be read safely"):
        read_foreign_checkpoint(_archive(tmp_path, b"\x80\x02" + endless))


def test_a_pickled_module_is_refused_by_name(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "net.pth")
    with pytest.raises(ValueError, match=r"net.pth: .*torch.nn.modules.linear.Linear.*state_dict"):
        read_weights(tmp_path / "net.pth")


def test_messages_from_torch_are_one_line_of_plain_text(tmp_path):
    assert one_line(RuntimeError("\n\x1b[1mnot\x1b[0m read\nmore")) == "not read"
    assert one_line(EOFError()) == "EOFError"
    with zipfile.ZipFile(tmp_path / "script.pth", "w") as archive:  # as TorchScript's files
        for name in ("data.pkl", "constants.pkl", "version"):
            archive.writestr(f"script/{name}", "3")
    with pytest.raises(ValueError, match="script.pth: .*TorchScript") as caught:
        read_weights(tmp_path / "script.pth")
    assert "\x1b" not in str(caught.value) and "\n" not in str(caught.value)


def test_messages_contain_no_terminal_codes(tmp_path):
    for number, content in enumerate((b"not a checkpoint", pickle.dumps({"a": os.system}), b"")):
        path = tmp_path / f"{number}.pth"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=path.name) as caught:
            read_weights(path)
        assert "\x1b" not in str(caught.value) and "\n" not in str(caught.value)
