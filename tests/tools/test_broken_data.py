"""Data errors found while a program runs end it with one line."""

import os
import subprocess
import sys

import pytest
from PIL import Image

from tests.tools.toy import ROOT, draw_data, toy_options

CONFIG = ROOT / "configs" / "e2e_ms_rcnn_R_50_FPN_1x.yaml"
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")


@pytest.fixture
def data(tmp_path):
    return draw_data(tmp_path / "data")


def ended(tool, options, *arguments, launcher=()):
    """Run a tool; return its exit code and stderr."""
    command = [sys.executable, *launcher, str(ROOT / "tools" / tool), "--config-file", str(CONFIG)]
    result = subprocess.run(
        [*command, *arguments, *options],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    return result.returncode, result.stderr


def test_a_missing_image_ends_training_with_one_line(data, tmp_path):
    for path in (data / "train").iterdir():
        path.unlink()
    options = toy_options(data, tmp_path / "out", DATALOADER__NUM_WORKERS=2)
    code, errors = ended("train_net.py", options, "--skip-test")
    assert code == 2
    assert errors.startswith("error: image id ")
    assert errors.endswith("does not exist\n")
    assert errors.count("\n") == 1


def test_a_size_unlike_the_files_ends_an_evaluation_in_one_line(data, tmp_path):
    for path in (data / "val").iterdir():
        Image.new("RGB", (7, 9)).save(path)
    changes = {"DATALOADER__NUM_WORKERS": 1, "SOLVER__MAX_ITER": 1}
    code, errors = ended("train_net.py", toy_options(data, tmp_path / "out", **changes))
    assert code == 2
    assert (tmp_path / "out" / "model_final.pth").is_file()
    assert errors.startswith("error: image id ")
    assert "is 7 pixels wide and 9 high, the annotations say" in errors
    assert errors.count("\n") == 1


def test_the_rank_is_named_without_a_traceback_in_a_job(data, tmp_path):
    for path in (data / "train").iterdir():
        path.write_text("no image")
    options = toy_options(data, tmp_path / "out", DATALOADER__NUM_WORKERS=1)
    code, errors = ended("train_net.py", options, "--skip-test", launcher=TORCHRUN)
    assert code != 0
    assert "error: rank " in errors
    (line, *_) = (line for line in errors.splitlines() if line.startswith("error: rank "))
    assert " of 2 on " in line
    assert "cannot be read: cannot identify image file" in line
    assert errors.count("Traceback") == 1, errors  # that of torchrun itself
    assert "exitcode  : 2" in errors
