import json
import math
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from maskrcnn_benchmark.visualization.curves import plot_runs, read_metrics


def _write(folder: Path, lines: list[dict], rest: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(line) + "\n" for line in lines) + rest
    (folder / "metrics.jsonl").write_text(text)
    return folder


def _training(count: int, start: float = 2.0) -> list[dict]:
    return [{"iteration": 20 * i, "loss": start / i, "lr": 0.01} for i in range(1, count + 1)]


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Record the saved figures."""
    saved, save = [], Figure.savefig

    def remember(figure: Figure, *args: object, **kwargs: object) -> None:
        saved.append(figure)
        save(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", remember)
    return saved


def _lines(figure: Figure, title: str) -> list:
    axes = next(a for a in figure.axes if a.get_title() == title)
    return axes.get_lines()


def test_figures_of_training_and_evaluation_by_key(tmp_path: Path) -> None:
    lines = [*_training(3), {"iteration": 60, "segm_AP": 0.25, "note": "text", "done": True}]
    run = read_metrics(_write(tmp_path, lines))
    assert run == {
        "loss": ([20, 40, 60], [2.0, 1.0, 2.0 / 3]),
        "lr": ([20, 40, 60], [0.01] * 3),
        "segm_AP": ([60], [0.25]),
    }


def test_not_a_number_is_kept(tmp_path: Path) -> None:
    run = read_metrics(_write(tmp_path, [{"iteration": 20, "loss": math.nan}]))
    assert math.isnan(run["loss"][1][0])


def test_a_cut_off_line_and_an_empty_file(tmp_path: Path) -> None:
    assert read_metrics(_write(tmp_path / "empty", [])) == {}
    for rest in ('{"iteration": 60, "lo', "6", '{"loss": 1.0}'):
        assert read_metrics(_write(tmp_path / "cut", _training(2), rest))["loss"][0] == [20, 40]
    (tmp_path / "cut" / "metrics.jsonl").write_bytes(b'{"iteration": 20, "loss": 1.0}\n\xff\x00')
    assert read_metrics(tmp_path / "cut")["loss"] == ([20], [1.0])


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    folder = _write(tmp_path, _training(1), 'what\n{"iteration": 40, "loss": 1.0}\n')
    with pytest.raises(ValueError, match=r"metrics.jsonl, line 2: 'what' is not"):
        read_metrics(folder)


def test_what_is_drawn_is_what_was_written(tmp_path: Path, figures: list[Figure]) -> None:
    evaluation = [
        {"iteration": 40, "bbox_AP": 0.3, "segm_AP": 0.2, "segm_AP50": 0.5},
        {"iteration": 60, "bbox_AP": 0.4, "segm_AP": 0.3, "segm_AP50": 0.6},
    ]
    timing = [{"iteration": 60, "time": 1.5, "box_proposal_AR@100": 0.7}]
    plot_runs([_write(tmp_path, [*_training(3), *evaluation, *timing])], tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    titles = {a.get_title() for a in figures[0].axes}
    assert titles == {"loss", "lr", "AP", "AP50", "AR@100"}
    np.testing.assert_allclose(_lines(figures[0], "loss")[0].get_ydata(), [2, 1, 2 / 3])
    curves = {line.get_label(): line for line in _lines(figures[0], "AP")}
    assert set(curves) == {"bbox", "segm"}
    assert list(curves["segm"].get_xdata()) == [40, 60]
    assert list(curves["segm"].get_ydata()) == [0.2, 0.3]
    assert {p.name for p in tmp_path.iterdir()} == {"metrics.jsonl", "curves.png"}


def test_runs_have_their_names_and_colors(tmp_path: Path, figures: list[Figure]) -> None:
    folders = [
        _write(tmp_path / "a" / "run", _training(3)),
        _write(tmp_path / "b" / "run", [*_training(2, 4.0), {"iteration": 40, "segm_AP": 0.1}]),
    ]
    plot_runs(folders, tmp_path / "new" / "curves.svg")
    first, second = _lines(figures[0], "loss")
    assert (first.get_label(), second.get_label()) == ("a/run", "b/run")
    assert first.get_color() != second.get_color()
    (only,) = _lines(figures[0], "AP")
    assert only.get_label() == "b/run: segm"
    assert only.get_color() == second.get_color()


def test_a_long_loss_gets_its_running_mean(tmp_path: Path, figures: list[Figure]) -> None:
    plot_runs([_write(tmp_path, _training(200))], tmp_path / "curves.png")
    thin, mean = _lines(figures[0], "loss")
    values = np.array(thin.get_ydata())
    np.testing.assert_allclose(mean.get_ydata()[0], values[:4].mean())
    assert len(_lines(figures[0], "lr")) == 1


def test_other_keys_on_demand(tmp_path: Path, figures: list[Figure]) -> None:
    folder = _write(tmp_path, [{"iteration": 20, "loss": 1.0, "time": 2.0}])
    plot_runs([folder], tmp_path / "curves.png", keys="time")
    assert [a.get_title() for a in figures[0].axes] == ["time"]


def test_mistakes_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    empty, full = _write(tmp_path / "empty", []), _write(tmp_path / "full", _training(2))
    with pytest.raises(FileNotFoundError, match="OUTPUT_DIR of a training"):
        plot_runs([tmp_path], tmp_path / "x.png")
    with pytest.raises(ValueError, match="nothing to plot"):
        plot_runs([empty], tmp_path / "x.png")
    with pytest.raises(ValueError, match="regular expression"):
        plot_runs([full], tmp_path / "x.png", keys="(")
    with pytest.raises(ValueError, match="not supported"):
        plot_runs([full], tmp_path / "x.what")
    assert not list(tmp_path.glob("*x.*"))
    plot_runs([empty, full], tmp_path / "x.png")
    assert "empty: metrics.jsonl holds no metrics yet" in caplog.text
