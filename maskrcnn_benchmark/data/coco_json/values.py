"""Checks of JSON values: numbers, ids, text."""

from math import isfinite
from typing import Any

_SHOWN = 60  # characters
_NUMBERS = {int, float}


def shown(value: Any) -> str:
    """Return the ``repr`` of a value, which shows its type, truncated to 60 characters."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def is_id(value: Any) -> bool:
    """Return whether a value is a valid id: a 64-bit integer or text; 1 and "1" differ."""
    if type(value) is int:  # and not bool: true would be 1
        return -(2**63) <= value < 2**63
    return type(value) is str and is_text(value)


def is_text(value: str) -> bool:
    """Return whether text can be encoded: JSON allows lone surrogates, which cannot."""
    return value.isascii() or value.encode("utf-8", "ignore").decode() == value


def as_number(value: Any) -> float | None:
    """Return a number, also parsed from a string; None for anything else, booleans included."""
    if type(value) not in (int, float, str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def are_numbers(values: Any) -> bool:
    """Return whether ``values`` is a list of finite numbers (by its sum: fast on a million)."""
    if type(values) is not list or not {*map(type, values)} <= _NUMBERS:
        return False
    try:
        return isfinite(sum(values))
    except OverflowError:  # an integer of hundreds of digits
        return False
