import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch

from maskrcnn_benchmark.checkpoint.array_pickle import read_array_pickle
from tests.helpers.pickles import python2_pickle

RNG = np.random.default_rng(0)
ARRAYS = {
    "float32": RNG.standard_normal((2, 3, 4)).astype(np.float32),
    "fortran": np.asfortranarray(RNG.standard_normal((3, 5))),
    "big endian": np.arange(6, dtype=">i4").reshape(2, 3),
    "strided": np.arange(20, dtype=np.int64)[::3],
    "half": np.float16([0.5, -2]),
    "bool": np.array([True, False]),
    "uint8": np.arange(256, dtype=np.uint8),
    "none": np.zeros((0, 4), np.float32),
    "no dimension": np.array(2.5),
    "number": np.float32(1.25),
}


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_come_back_as_numpy_itself_reads_them(tmp_path, name, protocol):
    content = OrderedDict(blobs={"x": ARRAYS[name]}, cfg="TEXT: é", list=[1, 2.5, None, True])
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content, protocol))
    read = read_array_pickle(tmp_path / "a.pkl")
    assert (read["cfg"], read["list"]) == ("TEXT: é", [1, 2.5, None, True])
    array = read["blobs"]["x"]
    assert type(array) is np.ndarray
    assert array.dtype == ARRAYS[name].dtype.newbyteorder("=")
    np.testing.assert_array_equal(array, ARRAYS[name])
    array += array.dtype.type(0)  # writable: torch takes it without a copy


def test_a_file_of_python_2(tmp_path):
    content = {"blobs": {"w": ARRAYS["float32"], "i": ARRAYS["big endian"]}, "cfg": "NUM_GPUS: 8"}
    written = python2_pickle(content)
    (tmp_path / "a.pkl").write_bytes(written)
    read = read_array_pickle(tmp_path / "a.pkl")
    assert read["cfg"] == "NUM_GPUS: 8"
    oracle = pickle.loads(written, encoding="latin1")  # noqa: S301 NumPy's own way, on our bytes
    for name, array in content["blobs"].items():
        np.testing.assert_array_equal(read["blobs"][name], array)
        np.testing.assert_array_equal(oracle["blobs"][name], array)


class Call:
    def __init__(self, function, *arguments):
        self.pickled = (function, arguments)

    def __reduce__(self):
        return self.pickled


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (Call(os.system, "touch executed"), r"(posix|nt)\.system"),
        (Call(eval, "open('executed', 'w')"), "builtins.eval"),
        (Call(getattr, os, "system"), "builtins.getattr"),
        (Call(np.fromfile, "executed"), "numpy.*fromfile"),
        (Call(open, "executed", "w"), "io.open"),
        (torch.zeros(1), "torch"),
        (np.ma.zeros(1), "numpy.ma"),
        (print, "builtins.print"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("protocol", [2, 4])
def test_non_arrays_are_refused_by_name(tmp_path, monkeypatch, value, named, protocol):
    monkeypatch.chdir(tmp_path)
    if named == "builtins.getattr":
        value = Call(getattr, "text", "upper")
    written = pickle.dumps({"blobs": {"a": np.zeros(2), "b": value}}, protocol, fix_imports=False)
    (tmp_path / "evil.pkl").write_bytes(written)
    with pytest.raises(ValueError, match=rf"evil.pkl: .*it contains {named}.*refused"):
        read_array_pickle(tmp_path / "evil.pkl")
    assert [path.name for path in tmp_path.iterdir()] == ["evil.pkl"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (pickle.dumps(np.array([1, "a"], dtype=object)), "only plain numbers"),
        (pickle.dumps(np.zeros(2, dtype="f4,i4")), "only plain numbers"),
        (pickle.dumps(np.zeros(2, dtype=np.longdouble)), "only plain numbers"),
        (pickle.dumps(np.array(["text"])), "only plain numbers"),
        (pickle.dumps(np.zeros(9))[:-20], "."),
        (b"", "."),
        (b"<html>not found</html>", "."),
        (python2_pickle({"x": np.zeros(4)}).replace(b"(J\4\0\0\0t", b"(J\5\0\0\0t"), "32 bytes"),
        (b"cnumpy\nndarray\n)R.", "without content"),
        (b"c_codecs\nencode\n(Vabc\nVrot13\ntR.", "encoding 'rot13'"),
    ],
    ids=["objects", "records", "long double", "text", "cut off", "empty", "html", "wrong size"]
    + ["empty array", "codec"],
)
def test_damaged_and_odd_files(tmp_path, content, why):
    (tmp_path / "a.pkl").write_bytes(content)
    with pytest.raises(ValueError, match=rf"(?s)a.pkl: not a pickle of NumPy arrays \(.*{why}"):
        read_array_pickle(tmp_path / "a.pkl")
