"""tools/analyze.py: the printed table."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def analyze(*arguments):
    """Run the command with the code of this folder, installed or not."""
    return subprocess.run(
        [sys.executable, str(ROOT / "tools/analyze.py"), *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_command():
    config = ["--config-file", str(ROOT / "configs/quick_schedules/rpn_R_50_FPN_quick.yaml")]
    done = analyze(*config, "--size", "64", "96")
    assert done.returncode == 0, done.stderr
    assert "One image [1, 3, 64, 96]" in done.stdout
    rows = {
        line.split()[0]: line.split() for line in done.stdout.splitlines() if line[:1].isalpha()
    }
    assert rows["rpn"][1] == "593,935"  # 256 * (9 * 256 + 1) + 257 * 15
    assert rows["all"][1] == "27,393,231"
    done = analyze(*config, "--size", "8", "96")
    assert done.returncode == 2
    assert done.stderr == "error: an image of 8 x 96: both sides must be at least 32\n"
