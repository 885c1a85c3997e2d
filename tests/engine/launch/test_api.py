"""``train`` and ``test`` in Python equal the commands and leave no state behind."""

import json
import logging
import subprocess
import sys
from types import SimpleNamespace

import pytest

import maskrcnn_benchmark
from maskrcnn_benchmark.config import cfg, make_default_config
from maskrcnn_benchmark.engine.launch import training
from maskrcnn_benchmark.engine.train_step import LossNotFiniteError
from maskrcnn_benchmark.modeling import detector
from maskrcnn_benchmark.utils.user_error import UserError
from tests.helpers.shipped_configs import CONFIGS
from tests.tools.test_resume import assert_equal, final
from tests.tools.toy import FEW, THIN, draw_data, tool, toy_config

CONFIG = CONFIGS / "e2e_ms_rcnn_R_50_FPN_1x.yaml"
SETTINGS = {key: value for key, value in THIN.items() if key != "MODEL.ROI_BOX_HEAD.NUM_CLASSES"}
SETTINGS |= {key.replace("__", "."): value for key, value in FEW.items()}
SETTINGS |= {"SOLVER.MAX_ITER": 2}


@pytest.fixture(autouse=True)
def _log():
    yield
    logger = logging.getLogger("maskrcnn_benchmark")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    logger.propagate = True


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return draw_data(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def datasets(data):
    return {
        f"toy_{split}": (data / "annotations" / f"instances_{split}.json", data / split)
        for split in ("train", "val")
    }


def pairs(settings):
    return [str(part) for pair in settings.items() for part in pair]


def files_of(folder):
    """Return the files of a run, except TensorBoard's, whose names contain the time."""
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {name for name in names if "tfevents" not in name}


def written_results(folder):
    return json.loads((folder / "inference" / "toy_val" / "results.json").read_text())["results"]


def test_python_functions_equal_the_commands(data, datasets, tmp_path):
    ours, theirs, tested = (tmp_path / name for name in ("ours", "theirs", "tested"))
    results = maskrcnn_benchmark.train(
        CONFIG, settings=SETTINGS, datasets=datasets, output_dir=ours
    )
    register = [part for name, files in datasets.items() for part in ("--register", name, *files)]
    command = ["--config-file", CONFIG, *register, *pairs(SETTINGS), "OUTPUT_DIR", theirs]
    tool("train_net").main([str(part) for part in command])
    assert_equal(final(ours), final(theirs))
    assert files_of(ours) == files_of(theirs)
    assert list(results) == ["toy_val"]
    assert results["toy_val"].results == written_results(ours) == written_results(theirs)

    weights, val = ours / "model_final.pth", {"toy_val": datasets["toy_val"]}
    again = maskrcnn_benchmark.test(
        CONFIG, weights=weights, settings=pairs(SETTINGS), datasets=val, output_dir=tested
    )
    assert again["toy_val"].results == results["toy_val"].results == written_results(tested)
    predictor = maskrcnn_benchmark.Predictor.from_checkpoint(weights, device="cpu")
    prediction = predictor(next((data / "val").iterdir()))
    assert len(prediction.mask_scores) == len(prediction)
    assert predictor.classes.class_names == final(ours)["class_names"]


@pytest.fixture
def started(monkeypatch):
    """Record the configs of trainings, which are stopped right after the start."""
    configs = []

    def stop(config, _):
        configs.append(config)
        raise ValueError("enough")

    monkeypatch.setattr(training, "make_training", stop)
    return configs


def start(*args, **options):
    with pytest.raises(UserError, match="enough"):
        maskrcnn_benchmark.train(*args, **options)


def test_runs_do_not_share_settings(started, datasets, tmp_path):
    common = {"MODEL": {"DEVICE": "cpu"}, "OUTPUT_DIR": tmp_path}
    start(CONFIG, settings={**common, "SOLVER": {"MAX_ITER": 7}, "SEED": 5}, datasets=datasets)
    tree = make_default_config()
    tree.merge_from_list(["SOLVER.BASE_LR", 0.5])
    before = tree.dump()
    start(tree, settings=common, datasets=datasets)
    first, second = started
    assert (first.SOLVER.MAX_ITER, first.SEED, first.MODEL.MASKIOU_ON) == (7, 5, True)
    defaults = make_default_config()
    assert second.SOLVER.BASE_LR == 0.5
    assert (second.SOLVER.MAX_ITER, second.SEED) == (defaults.SOLVER.MAX_ITER, defaults.SEED)
    assert second.MODEL.MASKIOU_ON == defaults.MODEL.MASKIOU_ON
    assert cfg.dump() == defaults.dump()
    assert tree.dump() == before and not tree.is_frozen()


def test_mistakes_raise_exceptions_instead_of_exiting(datasets, tmp_path):
    wrong = {
        "unknown key SOLVER.BASE_LRR; did you mean SOLVER.BASE_LR?": {
            "settings": {"SOLVER.BASE_LRR": 1}
        },
        "'a.b': a name must not be empty or contain a dot": {"datasets": {"a.b": ("a", "b")}},
    }
    for message, options in wrong.items():
        for run in (maskrcnn_benchmark.train, maskrcnn_benchmark.test):
            with pytest.raises(UserError, match=message):
                run(CONFIG, output_dir=tmp_path, **options)
    with pytest.raises(FileNotFoundError, match=r"nothing\.yaml"):
        maskrcnn_benchmark.train(tmp_path / "nothing.yaml")


def test_a_loss_that_is_not_finite_is_raised_and_ends_the_command_with_1(
    datasets, tmp_path, monkeypatch
):
    def diverge(*_, **__):
        raise LossNotFiniteError("loss is nan")

    monkeypatch.setattr(training, "do_train", diverge)
    settings = {**SETTINGS, "OUTPUT_DIR": tmp_path}
    with pytest.raises(LossNotFiniteError):
        maskrcnn_benchmark.train(CONFIG, settings=settings, datasets=datasets)
    name, files = next(iter(datasets.items()))
    command = ["--config-file", CONFIG, "--register", name, *files, *pairs(settings)]
    with pytest.raises(SystemExit) as end:
        tool("train_net").main([str(part) for part in command])
    assert end.value.code == 1


def test_the_last_evaluation_during_training_is_returned(data, tmp_path, monkeypatch):
    calls = []

    def run_tests(*_):
        calls.append(SimpleNamespace(results={"segm": {"AP": 0.5}}))
        return {"toy_val": calls[-1]}

    monkeypatch.setattr(training, "run_tests", run_tests)
    for skip_test, period, expected in ((False, 1, 1), (True, 1, 1), (True, 0, 0), (False, 0, 1)):
        folder = tmp_path / f"{skip_test}{period}"
        config = toy_config(data, folder, SOLVER__MAX_ITER=1, SOLVER__TEST_PERIOD=period)
        results = maskrcnn_benchmark.train(config, skip_test=skip_test)
        assert results == ({"toy_val": calls[-1]} if expected else {})
        assert len(calls) == expected
        calls.clear()


def test_the_package_alone_imports_nothing_heavy():
    code = (
        "import sys, maskrcnn_benchmark as m\n"
        "assert 'torch' not in sys.modules and 'cv2' not in sys.modules\n"
        "assert set(m.__all__) <= set(dir(m))\n"
        "assert not hasattr(m, 'nothing')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert maskrcnn_benchmark.train is training.train
    assert maskrcnn_benchmark.build_detection_model is detector.build_detection_model
