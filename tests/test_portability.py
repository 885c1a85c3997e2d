"""The package is importable without modules that other systems lack."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
# what CPython has on Linux and not on Windows, as far as a program like this could use it
MODULES = ("fcntl", "grp", "pwd", "resource", "termios", "tty")
NAMES = {
    "signal": ("SIGALRM", "SIGKILL", "SIGHUP", "SIGUSR1", "SIGCHLD", "alarm", "setitimer"),
    "os": ("O_DIRECTORY", "fork", "getuid", "killpg", "getpgid", "sysconf", "sched_getaffinity"),
}
IMPORT_ALL = f"""
import importlib, os, signal, sys
import torch, torchvision, cv2, yaml, matplotlib.pyplot, tqdm.contrib.logging, pycocotools.coco
import torch.utils.tensorboard.writer, torch.distributed.elastic.multiprocessing.errors, gradio
for module in {MODULES}:
    sys.modules[module] = None
for module, names in {NAMES}.items():
    for name in names:
        if hasattr(sys.modules[module], name):
            delattr(sys.modules[module], name)
for name in sys.argv[1:]:
    importlib.import_module(name)

from pathlib import Path
from maskrcnn_benchmark.data.worker import outlive_stop_signals
from maskrcnn_benchmark.engine.stop_request import StopRequest
from maskrcnn_benchmark.utils.atomic_file import write_atomically
from maskrcnn_benchmark.utils.folder_lock import one_at_a_time
with StopRequest("cpu"):
    write_atomically(Path("file"), lambda file: file.write(b"content"))
with one_at_a_time(Path(".")):
    outlive_stop_signals(0)
"""


def test_everything_is_imported_where_there_is_no_posix(tmp_path):
    package = ROOT / "maskrcnn_benchmark"
    files = [*package.rglob("*.py"), *(ROOT / "tools").glob("*.py")]
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files]
    names = [name.removeprefix("tools.").removesuffix(".__init__") for name in names]
    assert len(names) > 100
    path = os.pathsep.join([str(ROOT), str(ROOT / "tools")])
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, *sorted(names)],
        env=os.environ | {"PYTHONPATH": path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "file").read_text() == "content"
