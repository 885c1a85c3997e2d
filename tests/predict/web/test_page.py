"""What the page does on each action, and what it serves; without a browser."""

import sys

import numpy as np
import pytest
from PIL import Image

from demo import web
from maskrcnn_benchmark.predict.predictor import Predictor
from tests.helpers.tiny_detector import save_checkpoint, tiny_config
from tests.predict.web.cases import FakePredictor, gray_image, prediction

gr = pytest.importorskip("gradio")
page = pytest.importorskip("maskrcnn_benchmark.predict.web.page")

# the outputs of ``detect`` and ``show``
STATE, NUMBER, *_, MESSAGE = range(5)
HINT, RESULTS, STATUS, ROWS, JSON, PICTURE, PNG = range(7)


@pytest.fixture
def photo(tmp_path):
    gray_image().save(tmp_path / "photo.png")
    return str(tmp_path / "photo.png")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save_checkpoint(tmp_path_factory.mktemp("model"), tiny_config(), ["cat", "dog"])


@pytest.fixture
def actions(photo):
    return page.Actions(FakePredictor(prediction()), [photo])


def event(kind, **data):
    return kind(None, data)


def shown_rows(html):
    return [int(part.split('"')[0]) for part in html.split('<tr data-number="')[1:]]


def test_an_upload_and_an_example_give_the_same(actions, photo):
    uploaded, example = (
        actions.show(found[STATE], "mask_score", 0.51, found[NUMBER])
        for found in (actions.detect(photo), actions.detect_example(0))
    )
    assert shown_rows(uploaded[ROWS]) == shown_rows(example[ROWS]) == [1, 2, 3]
    assert "photo.png" in uploaded[STATUS] and uploaded[STATUS] == example[STATUS]
    assert uploaded[PICTURE] == uploaded[PNG] and uploaded[PNG].suffix == ".png"
    assert (uploaded[HINT]["visible"], uploaded[RESULTS]["visible"]) == (False, True)


def test_another_choice_does_not_run_the_model(actions, photo):
    found = actions.detect(photo)[STATE]
    assert shown_rows(actions.show(found, "mask_score", 0.51, None)[ROWS]) == [1, 2, 3]
    assert shown_rows(actions.show(found, "score", 0.8, None)[ROWS]) == [4, 1]
    assert actions.predictor.calls == 1


def test_a_selected_row_and_a_click_on_the_picture_highlight(actions, photo):
    found = actions.detect(photo)[STATE]
    number, picture, _ = actions.highlight(found, "mask_score", 0, event(gr.EventData, number=4))
    assert number == 4
    from_row = np.asarray(Image.open(picture))
    click = event(gr.SelectData, index=[900, 250], value=None)  # in the fourth box
    number, rows, picture, _ = actions.pick(found, "mask_score", 0, None, click)
    assert number == 4
    np.testing.assert_array_equal(np.asarray(Image.open(picture)), from_row)
    assert 'data-number="4" tabindex="0" aria-selected="true"' in rows
    number, rows, picture, _ = actions.pick(found, "mask_score", 0, 4, click)  # again: off
    assert number is None and 'aria-selected="true"' not in rows
    assert (np.asarray(Image.open(picture)) != from_row).any()


def test_without_an_image_nothing_changes(actions):
    assert actions.show(None, "score", 0.5, None) == [gr.skip()] * 7
    number, *rest = actions.highlight(None, "score", 0.5, event(gr.EventData, number=1))
    assert number is None and rest == [gr.skip()] * 2


def test_a_failure_leaves_the_page_usable(actions, photo, tmp_path, monkeypatch):
    (tmp_path / "notes.txt").write_text("hello")
    refused = actions.detect(str(tmp_path / "notes.txt"))
    assert refused[STATE] is None and "notes.txt is not an image" in refused[MESSAGE]
    assert [part["visible"] for part in refused[2:4]] == [True, False]

    def fail(_):
        raise RuntimeError("out of memory")

    with monkeypatch.context() as broken:
        broken.setattr(actions, "predictor", fail)
        failed = actions.detect(photo)
    assert failed[STATE] is None
    assert "The model failed on photo.png: RuntimeError: out of memory" in failed[MESSAGE]
    assert len(actions.detect(photo)[STATE].prediction) == 4


def radio(made):
    (found,) = (block for block in made.blocks.values() if isinstance(block, gr.Radio))
    return found


@pytest.mark.parametrize(
    ("mask_scores", "keys"), [(True, ["score", "mask_iou", "mask_score"]), (False, ["score"])]
)
def test_the_rankings_are_those_that_the_model_has(mask_scores, keys, photo):
    predictor = FakePredictor(prediction(mask_scores=mask_scores))
    choices = radio(page.make_page(predictor, "model.pth", [photo]))
    assert [key for _, key in choices.choices] == keys
    assert choices.value == keys[-1]


def test_it_is_served_on_this_machine_only_and_sends_nothing_elsewhere(photo, monkeypatch):
    made = page.make_page(FakePredictor(prediction()), "model.pth", [photo])
    options = {}
    monkeypatch.setattr(gr.Blocks, "launch", lambda self, **given: options.update(given))
    page.serve(made, 7777)
    assert (options["server_name"], options["server_port"]) == ("127.0.0.1", 7777)
    assert options["share"] is False and made.analytics_enabled is False
    assert options["max_file_size"] == page.MAX_BYTES
    assert not [font for font in options["theme"]._font if "google" in type(font).__name__.lower()]


def test_the_command_serves_the_page_of_its_weights(checkpoint, photo, monkeypatch):
    served = []
    monkeypatch.setattr(page, "serve", lambda made, port: served.append((made, port)))
    web.main(["--weights", str(checkpoint), "--device", "cpu", "--examples", photo, "--port", "80"])
    ((made, port),) = served
    assert port == 80 and radio(made).value == "mask_score"


def test_examples_are_found_or_drawn(tmp_path):
    for name in ("b.png", "a.png", "film.mp4", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    assert [p.name for p in web.find_examples([str(tmp_path)], tmp_path / "x")] == [
        "a.png",
        "b.png",
    ]
    drawn = web.find_examples([], tmp_path)
    assert len(drawn) == 3
    assert len({Image.open(path).tobytes() for path in drawn}) == 3


def test_missing_weights_are_reported_in_one_line(capsys):
    with pytest.raises(SystemExit, match="2"):
        web.main(["--weights", "nowhere.pth"])
    assert capsys.readouterr().err.strip().count("\n") == 0


def test_the_real_predictor_fits(checkpoint, photo):
    predictor = Predictor.from_checkpoint(checkpoint, device="cpu")
    found = page.Actions(predictor, []).detect(photo)
    expected = predictor(photo).select("mask_score", 0)
    assert len(expected) > 1
    assert [row.mask_score for row in found[STATE].rows(page.Choice("mask_score", 0))] == (
        expected.mask_scores.tolist()
    )


def test_without_gradio_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.delitem(sys.modules, page.__name__)
    with pytest.raises(SystemExit, match="2"):
        web.main(["--weights", "nowhere.pth"])
    assert capsys.readouterr().err == "error: the web page needs gradio: pip install gradio\n"
