"""A report as one HTML file: no network, no script, readable on a phone, in print and at night."""

import html
from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from maskrcnn_benchmark.report.embedding import figure_address, picture_address
from maskrcnn_benchmark.report.style import STYLE
from maskrcnn_benchmark.visualization.draw import Picture
from maskrcnn_benchmark.visualization.fonts import one_line


class Captioned(NamedTuple):
    """A picture, uint8 RGB ``[H, W, 3]``, with the lines of text below it."""

    picture: Picture
    lines: Sequence[str]


def escaped(text: str) -> str:
    """Return a text for HTML, on one line; names and ids are the user's."""
    return html.escape(one_line(text))


class Page:
    """A page that is written from top to bottom. Every text given to it is escaped.

    Args:
        title: heading, and name of the browser's tab.
        lead: a sentence below it.
    """

    def __init__(self, title: str, lead: str = "") -> None:
        self._title = title
        self._parts = [f"<h1>{escaped(title)}</h1>"]
        if lead:
            self._parts.append(f'<p class="lead">{escaped(lead)}</p>')

    def section(self, heading: str) -> None:
        """Begin a section."""
        self._parts.append(f"<h2>{escaped(heading)}</h2>")

    def text(self, text: str) -> None:
        """Add a paragraph."""
        self._parts.append(f"<p>{escaped(text)}</p>")

    def note(self, text: str) -> None:
        """Add a paragraph that stands out, such as what cannot be told."""
        self._parts.append(f'<p class="note">{escaped(text)}</p>')

    def formula(self, text: str) -> None:
        """Add a formula, as plain text."""
        self._parts.append(f'<p class="formula">{escaped(text)}</p>')

    def facts(self, facts: Sequence[tuple[str, str]]) -> None:
        """Add a row of tiles: a value in large type, and what it is."""
        tiles = "".join(
            f"<div><b>{escaped(value)}</b><span>{escaped(name)}</span></div>"
            for name, value in facts
        )
        self._parts.append(f'<div class="facts">{tiles}</div>')

    def figures(self, figures: Sequence[tuple[Figure, str]]) -> None:
        """Add figures of matplotlib with captions, which are also their texts for the blind.

        They stand side by side where there is room; a width of 4.6 inches keeps their text legible
        on a phone.
        """
        cells = "".join(_figure(figure_address(one), [text]) for one, text in figures)
        self._parts.append(f'<div class="charts">{cells}</div>')

    def pictures(self, pictures: Sequence[Captioned]) -> None:
        """Add pictures side by side, as many in a row as fit."""
        cells = "".join(_figure(picture_address(p.picture), p.lines) for p in pictures)
        self._parts.append(f'<div class="pictures">{cells}</div>')

    def table(
        self, header: Sequence[str], rows: Sequence[Sequence[str]], caption: str = ""
    ) -> None:
        """Add a table: the first column is text, the others are numbers."""
        head = "".join(f'<th scope="col">{escaped(cell)}</th>' for cell in header)
        body = "".join(
            f'<tr><th scope="row">{escaped(row[0])}</th>'
            + "".join(f"<td>{escaped(cell)}</td>" for cell in row[1:])
            + "</tr>"
            for row in rows
        )
        if caption:  # not a part of the table, which may be wider than a phone
            self._parts.append(f'<p class="caption">{escaped(caption)}</p>')
        self._parts.append(
            f'<div class="wide"><table><thead><tr>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table></div>"
        )

    def html(self) -> str:
        """Return the page."""
        return (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{escaped(self._title)}</title>\n<style>\n{STYLE}</style>\n</head>\n"
            "<body>\n<main>\n" + "\n".join(self._parts) + "\n</main>\n</body>\n</html>\n"
        )


def _figure(address: str, lines: Sequence[str]) -> str:
    """Return an image with its caption."""
    caption = "<br>".join(escaped(line) for line in lines)
    alternative = html.escape(one_line("; ".join(lines)))
    return (
        f'<figure><img src="{address}" alt="{alternative}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )
