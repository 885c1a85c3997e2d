"""Pages: self-contained, escaped, with figures and pictures inside."""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from maskrcnn_benchmark.report.page import Captioned, Page

EVIL = "<script>alert('a & \"b\"')</script>\n"
VOID = {"meta", "img", "br"}


class Reader(HTMLParser):
    """Notes tags, texts and addresses of a page; all tags must be closed."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.texts, self.sources = [], [], [], []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for key, value in attrs if key in ("src", "href")]
        self.texts += [value for key, value in attrs if key == "alt"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def full_page():
    page = Page(EVIL, EVIL)
    page.section(EVIL)
    page.text(EVIL)
    page.note(EVIL)
    page.formula("ECE = sum over bins of n/N * |a - b|")
    page.facts([("name " + EVIL, EVIL)])
    figure = Figure(figsize=(2, 1))
    figure.add_subplot().plot([1, 2])
    page.figures([(figure, EVIL)])
    picture = np.zeros((8, 12, 3), np.uint8)
    picture[:, :, 0] = 200
    page.pictures([Captioned(picture, [EVIL, "second line"]), Captioned(picture, [])])
    page.table(["class", EVIL], [[EVIL, "1"], ["b", EVIL]], EVIL)
    return page.html()


def test_every_text_is_escaped():
    page = Reader(full_page())
    assert "script" not in page.tags
    shown = [text for text in page.texts if "alert" in text]
    assert len(shown) == 16  # every text, and those of images a second time
    assert all("<script>alert('a & \"b\"')</script>" in text for text in shown)


def test_the_page_needs_no_other_file():
    text = full_page()
    page = Reader(text)
    assert len(page.sources) == 3
    assert all(source.startswith("data:image/") for source in page.sources)
    assert not {"script", "link", "iframe"} & set(page.tags)
    style = re.search("<style>(.*?)</style>", text, re.DOTALL)[1]
    assert "url(" not in style
    assert "@import" not in style
    for needed in ("@media print", "prefers-color-scheme: dark"):
        assert needed in style
    assert 'name="viewport"' in text


def test_pictures_and_figures_are_inside():
    svg, jpeg, _ = Reader(full_page()).sources
    kind, _, content = svg.partition(",")
    assert kind == "data:image/svg+xml;base64"
    assert b"<svg" in base64.b64decode(content)
    image = Image.open(io.BytesIO(base64.b64decode(jpeg.partition(",")[2])))
    assert image.size == (12, 8)
    assert abs(np.asarray(image)[4, 6].astype(int) - (200, 0, 0)).max() < 8
    assert full_page() == full_page()  # no date, no random ids
