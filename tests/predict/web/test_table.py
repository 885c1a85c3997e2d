"""The table of instances: content, order, marks, and no markup from outside."""

import re

from maskrcnn_benchmark.predict.web import table
from maskrcnn_benchmark.predict.web.inspection import Choice, Row
from maskrcnn_benchmark.visualization.colors import palette

ROWS = [Row(2, "cat", 0.9, 0.8, 0.72), Row(1, "dog", 0.95, 0.4, 0.38)]


def test_rows_keep_their_order_and_have_all_scores():
    html = table.table(ROWS, Choice("mask_score", 0))
    assert re.findall(r'<tr data-number="(\d+)"', html) == ["2", "1"]
    assert re.findall(r">(\d\.\d\d)</td>", html) == ["0.90", "0.80", "0.72", "0.95", "0.40", "0.38"]
    assert re.findall(r'data-value="(0\.\d{6})"', html)[:3] == ["0.900000", "0.800000", "0.720000"]
    assert f"background:rgb{tuple(palette()[1].tolist())}" in html.split("</tr>")[1]


def test_the_ranked_column_is_marked():
    html = table.table(ROWS, Choice("mask_iou", 0))
    (head,) = re.findall(r"<th[^>]*aria-sort=descending><button[^>]*>([^<]*)", html)
    assert head == "mask IoU"


def test_the_highlighted_row_is_selected():
    html = table.table(ROWS, Choice("score", 0, highlighted=1))
    selected = re.findall(r'data-number="(\d+)" tabindex="0" aria-selected="(\w+)"', html)
    assert selected == [("2", "false"), ("1", "true")]


def test_confident_but_poor_ones_are_marked():
    first, second = table.table(ROWS, Choice("score", 0)).split("<tr data")[1:]
    assert "poor mask" not in first and "poor mask" in second
    assert "1 confident but poor" in table.summary("a.jpg", 9, ROWS, Choice("score", 0))
    assert "poor" not in table.summary("a.jpg", 9, ROWS[:1], Choice("score", 0))


def test_the_summary_says_what_is_shown():
    text = table.summary("a.jpg", 9, ROWS, Choice("mask_iou", 0.25))
    assert "<b>a.jpg</b> · 2 of 9 detections with predicted mask IoU ≥ 0.25" in text


def test_scores_that_are_not_known_have_no_column():
    html = table.table([Row(1, "cat", 0.9, None, None)], Choice("score", 0))
    assert re.findall(r"<button[^>]*>([^<]*)", html) == ["#", "class", "class score"]
    assert "mask IoU" not in html


def test_an_empty_table_gives_a_hint():
    assert "No instance reaches this threshold" in table.table([], Choice("score", 0.9))


def test_text_from_outside_is_escaped():
    evil = "<img src=x onerror=alert(1)>\n\"'"
    for html in (
        table.table([Row(1, evil, 0.9, 0.8, 0.7)], Choice("score", 0)),
        table.summary(evil, 1, [], Choice("score", 0)),
        table.failure(evil),
    ):
        assert "<img" not in html and "&lt;img" in html
