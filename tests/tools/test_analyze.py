"""tools/analyze.py: the printed table."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_command(tmp_path):
    command = [sys.executable, str(ROOT / "tools/analyze.py")]
    config = ["--config-file", str(ROOT / "configs/quick_schedules/rpn_R_50_FPN_quick.yaml")]
    done = subprocess.run(
        [*command, *config, "--size", "64", "96"], capture_output=True, text=True, check=True
    )
    assert "One image [1, 3, 64, 96]" in done.stdout
    rows = {
        line.split()[0]: line.split() for line in done.stdout.splitlines() if line[:1].isalpha()
    }
    assert rows["rpn"][1] == "593,935"  # 256 * (9 * 256 + 1) + 257 * 15
    assert rows["all"][1] == "27,393,231"
    done = subprocess.run(
        [*command, *config, "--size", "8", "96"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "error: an image of 8 x 96: both sides must be at least 32\n"
