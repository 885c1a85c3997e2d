"""Draw class names literally in any script: fonts, line breaks, markup.

Text is set in matplotlib's DejaVu font; characters that it lacks are taken from another installed
font. If there is none, a warning is logged once.
"""

import contextlib
import re
import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import font_manager

from maskrcnn_benchmark.utils.logger import warn_once

_BREAKS = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
_SURROGATES = re.compile(r"[\ud800-\udfff]")  # from names that are not UTF-8
_SELECTORS = range(0xFE00, 0xFE10)  # select a variant of the preceding character


def one_line(text: str) -> str:
    """Replace line breaks and control characters by a space, for drawing on one line."""
    return _SURROGATES.sub("\ufffd", _BREAKS.sub(" ", text))


@lru_cache(maxsize=1)
def _default() -> str:
    return str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf")


def _has(file: str, character: str) -> bool:
    return bool(font_manager.get_font(file).get_char_index(ord(character)) != 0)


@lru_cache(maxsize=1)
def _installed() -> list[str]:
    """Return the files of the installed scalable fonts, upright sans-serif ones first."""
    found = []
    for file in font_manager.findSystemFonts():
        with contextlib.suppress(Exception):  # skip broken fonts
            font: Any = font_manager.get_font(file)
            plain = font.style_name in ("Regular", "Book", "Normal", "Roman")
            if font.scalable:
                found.append((not plain, "sans" not in font.family_name.lower(), file))
    return [file for *_, file in sorted(found)]


@lru_cache(maxsize=256)
def _fallbacks(missing: frozenset[str]) -> tuple[str, ...]:
    """Return as few fonts as cover the characters; warn about characters in no font."""
    chosen, left = [], missing
    while left:
        of_each = {file: {c for c in left if _has(file, c)} for file in _installed()}
        best = max(of_each, key=lambda file: len(of_each[file]), default=None)
        if best is None or not of_each[best]:
            warn_once(
                "font",
                f"no installed font has {''.join(sorted(left))!r}: these and other missing "
                "characters are drawn as empty boxes; install a font for that script, such as "
                "Noto Sans",
            )
            break
        chosen.append(best)
        left = left - of_each[best]
    return tuple(chosen)


def _is_visible(character: str) -> bool:
    is_selector = ord(character) in _SELECTORS
    return unicodedata.category(character) not in ("Cc", "Cf", "Zs") and not is_selector


def font_files(text: str) -> tuple[str, ...]:
    """Return the font files that a text needs, matplotlib's own first."""
    missing = frozenset(c for c in set(text) if _is_visible(c) and not _has(_default(), c))
    return (_default(), *_fallbacks(missing))


@lru_cache(maxsize=4096)
def runs(text: str) -> tuple[tuple[str, str], ...]:
    """Split a line into parts of one font each: ``(font file, part)``."""
    files = font_files(text)

    def file_of(character: str) -> str:
        return next((file for file in files if _has(file, character)), files[0])

    return tuple((file, "".join(part)) for file, part in groupby(text, file_of))


@contextlib.contextmanager
def plain_text(texts: Iterable[str]) -> Iterator[None]:
    """Let matplotlib draw text literally, without markup, in fonts that have its characters.

    Create and save figures inside. Tick labels of a logarithmic axis need a formatter without
    markup.

    Args:
        texts: all texts to be drawn that come from the user.
    """
    families = []
    for file in font_files("".join(map(one_line, texts))):
        if file != _default():
            font_manager.fontManager.addfont(file)
        families.append(font_manager.get_font(file).family_name)
    with (
        matplotlib.rc_context({"text.parse_math": False, "font.family": families}),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .*missing from")  # warned about above
        yield
