"""Numbers as the reports show them; a dash for what is unknown, and no minus before zero."""

_DASH = "–"


def decimal(value: float | None, digits: int = 2) -> str:
    """Return a number with a fixed number of decimals."""
    return _shown(value, f".{digits}f")


def signed(value: float | None) -> str:
    """Return a number with its sign."""
    return _shown(value, "+.3f")


def percent(value: float | None) -> str:
    """Return a fraction of 1 in percent, as AP is given."""
    return _shown(value, ".1f", factor=100)


def points(value: float | None) -> str:
    """Return a difference of two fractions in percentage points."""
    return _shown(value, "+.2f", factor=100)


def share(value: float | None) -> str:
    """Return a fraction of 1 in whole percent."""
    return _DASH if value is None else f"{_shown(value, '.0f', factor=100)} %"


def count(value: int) -> str:
    """Return a number of things with separators of thousands."""
    return f"{value:,}"


def _shown(value: float | None, layout: str, *, factor: float = 1) -> str:
    if value is None:
        return _DASH
    text = format(factor * value, layout)
    is_zero = not any(digit in text for digit in "123456789")
    return format(0.0, layout) if is_zero else text
