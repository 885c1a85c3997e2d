"""Jobs of two processes that are killed, restarted, stopped and continued."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.tools.test_resume import assert_equal, final
from tests.tools.toy import ROOT, draw_data, toy_options

CONFIG = ROOT / "configs" / "e2e_ms_rcnn_R_50_FPN_1x.yaml"
UNLUCKY = Path(__file__).parent / "unlucky_train_net.py"
ALONE = ("torch.distributed.run", "--standalone", "--nproc-per-node=2")


class Ended(NamedTuple):
    """A job that came to an end."""

    code: int
    text: str
    seconds: float


def start(launcher, options, event="none 0 0"):
    """Start a training of two processes without evaluation."""
    command = [sys.executable, "-m", *launcher, str(UNLUCKY), "--config-file", str(CONFIG)]
    environment = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "UNLUCKY": event}
    return subprocess.Popen(
        [*command, "--skip-test", *options],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(launcher, options, event="none 0 0"):
    """Wait for the end of a training."""
    began = time.monotonic()
    job = start(launcher, options, event)
    text, _ = job.communicate(timeout=300)
    return Ended(job.returncode, text, time.monotonic() - began)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return draw_data(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """The folder of a job that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole")
    launcher = ("torch.distributed.launch", "--standalone", "--nproc_per_node=2")
    job = run(launcher, toy_options(data, folder, DATALOADER__NUM_WORKERS=2))
    assert job.code == 0, job.text
    assert job.text.count("Training starts at iteration 1 of 4") == 1
    return folder


@pytest.mark.slow
def test_after_a_death_torchrun_goes_on_from_the_last_checkpoint(data, whole, tmp_path):
    options = toy_options(data, tmp_path, DATALOADER__NUM_WORKERS=2)
    job = run((*ALONE, "--max-restarts=1"), options, "die 3 1")
    assert job.code == 0, job.text
    assert "exitcode: -9) local_rank: 1" in job.text
    assert f"Resuming from the checkpoint {tmp_path / 'model_0000002.pth'}" in job.text
    assert_equal(final(tmp_path), final(whole))


@pytest.mark.slow
def test_a_death_ends_the_job_within_a_minute_and_the_log_says_whose(data, tmp_path):
    job = run(ALONE, toy_options(data, tmp_path), "die 3 1")
    assert job.code != 0
    assert job.seconds < 60
    assert "exitcode: -9) local_rank: 1" in job.text
    assert "error: rank 0 of 2 on" in job.text


@pytest.mark.slow
def test_sigterm_to_the_launcher_saves_and_the_job_can_go_on(data, whole, tmp_path):
    options = toy_options(data, tmp_path, DATALOADER__NUM_WORKERS=2, SOLVER__CHECKPOINT_PERIOD=100)
    job = run(ALONE, options, "stop 2 0")
    assert "Stopped by SIGTERM after iteration" in job.text
    assert job.text.count("Traceback") == 1, job.text  # that of torchrun itself
    assert "SignalException" in job.text
    assert not (tmp_path / "model_final.pth").exists()
    job = run(ALONE, options)
    assert job.code == 0, job.text
    assert "Resuming from the checkpoint" in job.text
    assert_equal(final(tmp_path), final(whole))


@pytest.mark.slow
def test_two_nodes_that_meet_at_an_address(data, whole, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    meet = ("torch.distributed.run", "--nnodes=2", "--nproc-per-node=1", f"--master-port={port}")
    options = toy_options(data, tmp_path, DATALOADER__NUM_WORKERS=2)
    nodes = [
        start((*meet, "--master-addr=127.0.0.1", f"--node-rank={rank}"), options)
        for rank in range(2)
    ]
    texts = [node.communicate(timeout=300)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], texts
    assert_equal(final(tmp_path), final(whole))
