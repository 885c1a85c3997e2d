"""Names are drawn literally, with a generated font that alone has some characters."""

import itertools
import json
import logging
import warnings

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from maskrcnn_benchmark.utils import logger
from maskrcnn_benchmark.visualization import Instances, draw_instances, fonts
from maskrcnn_benchmark.visualization.curves import plot_runs
from maskrcnn_benchmark.visualization.fonts import one_line, plain_text, runs
from maskrcnn_benchmark.visualization.text import draw_line, label_size, title_bar

_numbers = itertools.count()


def font_of(folder, characters):
    """Write a font whose characters are filled squares of one em; return its path."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, 800), (1000, 800), (1000, 0)):
        pen.lineTo(corner)
    pen.closePath()
    names = [f"square{number}" for number in range(len(characters))]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", *names])
    builder.setupCharacterMap({ord(c): n for c, n in zip(characters, names, strict=True)})
    empty = TTGlyphPen(None).glyph()
    builder.setupGlyf({".notdef": empty} | {name: pen.glyph() for name in names})
    builder.setupHorizontalMetrics(dict.fromkeys((".notdef", *names), (1000, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    family = f"Squares {next(_numbers)}"  # matplotlib remembers fonts by their names
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=800, usWinAscent=800, usWinDescent=200)
    builder.setupPost()
    path = folder / f"{family}.ttf"
    builder.save(path)
    return str(path)


@pytest.fixture
def installed(monkeypatch):
    """Set the fonts installed besides DejaVu, and reset the warnings."""

    def forget():
        for function in (fonts._installed, fonts._fallbacks, fonts.runs):
            function.cache_clear()

    def install(*files):
        monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [*files])
        forget()

    monkeypatch.setattr(logger, "_warned", set())
    yield install
    forget()


def pixels_of(text, size=20, width=200):
    picture = Image.new("L", (width, 40))
    draw_line(ImageDraw.Draw(picture), (0, 0), text, size=size, fill=255)
    return np.asarray(picture)


def test_a_character_comes_from_an_installed_font_that_has_it(installed, tmp_path, caplog):
    installed(font_of(tmp_path, "犬"), font_of(tmp_path, "猫鳥"))
    drawn, before = pixels_of("a猫b"), pixels_of("a")
    left = label_size("a", 20)[0] - label_size("", 20)[0]
    assert label_size("a猫b", 20)[0] == pytest.approx(label_size("ab", 20)[0] + 20, abs=1)
    inside = drawn[:, left + 1 : left + 19]
    rows = np.flatnonzero((inside == 255).all(axis=1))
    assert len(rows) == 16  # of 0.8 em: the square, not the box of a missing character
    np.testing.assert_array_equal(drawn[:, : left - 1], before[:, : left - 1])
    # both stand on one line
    bottom = np.flatnonzero(pixels_of("a").any(axis=1)).max()
    assert abs(rows.max() - bottom) <= 1
    assert [part for _, part in runs("x猫鳥犬y")] == ["x", "猫鳥", "犬", "y"]
    assert caplog.records == []


def test_one_warning_where_no_font_has_it(installed, caplog):
    installed()
    with caplog.at_level(logging.WARNING), warnings.catch_warnings():
        warnings.simplefilter("error")
        for text in ("猫", "犬", "猫犬"):
            title_bar(text, 200, 20)
            with plain_text([text]):
                figure = Figure()
                figure.text(0.5, 0.5, text)
                figure.draw_without_rendering()
    assert len(caplog.records) == 1
    assert "no installed font has '猫': these and other missing" in caplog.text


def test_invisible_characters_need_no_font(installed, caplog):
    installed()
    assert len(runs("a\u200bb\u3000c\ufe0f\u200d")) == 1
    assert caplog.records == []


def test_as_few_fonts_as_possible_are_used(installed, tmp_path):
    few, many = font_of(tmp_path, "猫"), font_of(tmp_path, "猫犬")
    for order in ((few, many), (many, few)):
        installed(*order)
        assert [file for file, _ in runs("猫犬")] == [many]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("two\nlines", "two lines"),
        ("a\r\n\tb", "a b"),
        ("\x00a\x7f\u2028b", " a b"),
        ("broken \ud800 text", "broken \ufffd text"),
        ("$x_1$ \\frac{", "$x_1$ \\frac{"),
    ],
)
def test_names_are_drawn_on_one_line(text, line, installed):
    installed()
    assert one_line(text) == line
    assert label_size(text, 20) == label_size(line, 20)
    np.testing.assert_array_equal(pixels_of(text), pixels_of(line))
    np.testing.assert_array_equal(title_bar(text, 300, 20), title_bar(line, 300, 20))


def test_labels_of_any_name_are_drawn(installed, tmp_path):
    installed(font_of(tmp_path, "猫"))
    masks = np.zeros((4, 60, 80), bool)
    for number, mask in enumerate(masks):
        mask[10 * number : 10 * number + 8, 10:60] = True
    named = Instances(masks=masks, names=["猫", "$x_1$", "two\nlines", "\n"])
    plain = Instances(masks=masks, names=["", "", "", ""])
    drawn = draw_instances(np.zeros((60, 80, 3), np.uint8), named, long_side=800)
    assert (drawn != draw_instances(np.zeros((60, 80, 3), np.uint8), plain, long_side=800)).any()


def test_matplotlib_draws_no_markup_and_finds_the_font(installed, tmp_path):
    installed(font_of(tmp_path, "猫"))

    def width(text):
        figure = Figure(dpi=100)
        shown = figure.text(0, 0, text, fontsize=72)  # 100 pixels an em
        figure.draw_without_rendering()
        return shown.get_window_extent().width

    names = ["$x_1$", "\\$x\\$", "$\\frac{", "$\\alpha$", "猫"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with plain_text(names):
            widths = [width(name) for name in names]
            assert widths[4] == pytest.approx(100, abs=3)
    # in markup a character is escaped by a backslash; what is written is wider than what is meant
    assert widths[0] == pytest.approx(width(r"\$x_1\$"), abs=2)
    assert widths[1] > width(r"\$x\$") + 20
    assert widths[3] > 3 * width(r"$\alpha$")


def test_curves_of_runs_of_any_name(installed, tmp_path, monkeypatch):
    installed(font_of(tmp_path, "猫"))
    saved, save = [], Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda f, *a, **k: saved.append(f) or save(f, *a, **k))
    names = ["$\\frac{$", "猫", "_a", "b\nc"]
    for name in names:
        (tmp_path / name).mkdir()
        line = json.dumps({"iteration": 20, "loss": 1.0})
        (tmp_path / name / "metrics.jsonl").write_text(line + "\n", encoding="utf-8")
    plot_runs([tmp_path / name for name in names], tmp_path / ("x" * 251 + ".png"))
    texts = [text.get_text() for text in saved[0].axes[0].get_legend().get_texts()]
    assert texts == ["$\\frac{$", "猫", " _a", "b c"]
