"""``tools/quickstart.py``: its arguments and its summary."""

import importlib

import pytest


@pytest.fixture
def quickstart():
    return importlib.import_module("maskrcnn_benchmark.tools.quickstart")


def test_the_demo_gets_the_arguments(quickstart, tmp_path, monkeypatch, capsys):
    seen = {}

    def demo(output, **arguments):
        seen.update(arguments, output=output)
        (output / "report.md").write_text("# As reported\n")
        return output / "report.md"

    monkeypatch.setattr(quickstart, "demo", demo)
    counts = ["--iterations", "100", "--num-train", "5", "--num-val", "2"]
    output = ["--output", str(tmp_path)]
    quickstart.main([*counts, "--seed", "3", *output, "SOLVER.BASE_LR", "0.01"])
    assert seen == {
        "output": tmp_path,
        "iterations": 100,
        "num_train": 5,
        "num_val": 2,
        "seed": 3,
        "settings": ["SOLVER.BASE_LR", "0.01"],
    }
    text = capsys.readouterr().out
    assert "# As reported" in text
    assert f"cli predict --weights {tmp_path / 'model_final.pth'} " in text


def test_the_demo_has_a_thousand_iterations_and_images_by_default(quickstart):
    args = quickstart.parse_arguments([])
    assert (args.iterations, args.num_train, args.num_val, args.seed) == (1000, 1000, 200, 0)
    assert args.output.as_posix() == "output/demo"
