"""Numbers as the reports show them; a dash for what is unknown."""

_DASH = "–"


def decimal(value: float | None, digits: int = 2) -> str:
    """Return a number with a fixed number of decimals."""
    return _DASH if value is None else f"{value:.{digits}f}"


def signed(value: float | None) -> str:
    """Return a number with its sign."""
    return _DASH if value is None else f"{value:+.3f}"


def percent(value: float | None) -> str:
    """Return a fraction of 1 in percent, as AP is given."""
    return _DASH if value is None else f"{100 * value:.1f}"


def points(value: float | None) -> str:
    """Return a difference of two fractions in percentage points."""
    return _DASH if value is None else f"{100 * value:+.2f}"


def share(value: float | None) -> str:
    """Return a fraction of 1 in whole percent, with the sign."""
    return _DASH if value is None else f"{100 * value:.0f} %"
