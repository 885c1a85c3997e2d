import os

import pytest

from maskrcnn_benchmark.engine.launch.user_environment import setup_environment


def test_runs_the_users_file_and_its_function(tmp_path, monkeypatch):
    file = tmp_path / "mine.py"
    file.write_text(
        "import os\nos.environ['RAN'] = 'file'\n"
        "def setup_environment():\n    os.environ['RAN'] += ' function'\n"
    )
    monkeypatch.setenv("RAN", "")
    monkeypatch.setenv("TORCH_DETECTRON_ENV_MODULE", str(file))
    setup_environment()
    assert os.environ["RAN"] == "file function"


def test_a_missing_file_is_named(monkeypatch):
    monkeypatch.setenv("TORCH_DETECTRON_ENV_MODULE", "/no/such.py")
    with pytest.raises(FileNotFoundError, match="TORCH_DETECTRON_ENV_MODULE=/no/such.py"):
        setup_environment()
