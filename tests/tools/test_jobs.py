"""Two-process jobs that are killed, restarted, stopped and resumed."""

import os
import socket
import subprocess
import sys
import time
from typing import NamedTuple

import pytest

from tests.helpers.ranks import on_ranks
from tests.tools.test_resume import assert_equal, final
from tests.tools.toy import FEW, ROOT, draw_data, toy_config, toy_options, train

CONFIG = ROOT / "configs" / "e2e_ms_rcnn_R_50_FPN_1x.yaml"
UNLUCKY = ROOT / "tests" / "tools" / "unlucky_train_net.py"
TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc-per-node=2")
LAUNCH = ("torch.distributed.launch", "--standalone", "--nproc_per_node=2")


class Ended(NamedTuple):
    """A finished job."""

    code: int
    text: str
    seconds: float


def start(launcher, options, event="none 0 0"):
    """Start a training of two processes."""
    command = [sys.executable, "-m", *launcher, str(UNLUCKY), "--config-file", str(CONFIG)]
    environment = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "UNLUCKY": event}
    return subprocess.Popen(
        [*command, *options],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(launcher, options, event="none 0 0"):
    """Wait for the end of a training without evaluation."""
    began = time.monotonic()
    job = start(launcher, ["--skip-test", *options], event)
    text, _ = job.communicate(timeout=300)
    return Ended(job.returncode, text, time.monotonic() - began)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return draw_data(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """Return the folder of an undisturbed two-process training."""
    folder = tmp_path_factory.mktemp("whole")
    on_ranks(lambda _: train(toy_config(data, folder)))
    return folder


def test_a_job_that_is_stopped_and_then_loses_a_process_ends_like_an_undisturbed_one(
    data, whole, tmp_path
):
    options = toy_options(data, tmp_path, DATALOADER__NUM_WORKERS=1, SOLVER__CHECKPOINT_PERIOD=3)
    job = run(TORCHRUN, options, "stop 1 0")
    assert job.code == 1  # whatever the processes say: the launcher got a signal
    assert "Stopped by SIGTERM after iteration 1 of 4" in job.text
    # that of the launcher itself
    assert job.text.count("Traceback") == job.text.count("SignalException: ") == 1, job.text
    assert "exitcode" not in job.text
    assert not (tmp_path / "model_final.pth").exists()

    job = run((*LAUNCH, "--max-restarts=1"), options, "die 3 1")
    assert job.code == 0, job.text
    assert f"Resuming from the checkpoint {tmp_path / 'model_0000001.pth'}" in job.text
    assert "exitcode: -9) local_rank: 1" in job.text
    assert f"Resuming from the checkpoint {tmp_path / 'model_0000003.pth'}" in job.text
    assert job.text.count("Training starts at iteration") == 2
    assert_equal(final(tmp_path), final(whole))


def test_a_killed_rank_ends_the_job_within_two_minutes_and_is_logged(data, tmp_path):
    job = run(TORCHRUN, toy_options(data, tmp_path), "die 2 1")
    assert job.code != 0
    assert job.seconds < 120
    assert "exitcode: -9) local_rank: 1" in job.text
    assert "error: rank 0 of 2 on" in job.text


def test_two_nodes_that_meet_at_an_address_train_and_evaluate_together(data, whole, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    meet = ("torch.distributed.run", "--nnodes=2", "--nproc-per-node=1", f"--master-port={port}")
    nodes = [
        start(
            (*meet, "--master-addr=127.0.0.1", f"--node-rank={rank}"),
            toy_options(data, tmp_path, **FEW),
        )
        for rank in range(2)
    ]
    texts = [node.communicate(timeout=300)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], texts
    assert_equal(final(tmp_path), final(whole))
    assert (tmp_path / "inference" / "toy_val" / "results.json").exists()
    assert not any(name.startswith("module.") for name in final(tmp_path)["model"])
