"""Figures with as many digits as it takes not to mislead.

Rounding must not move a figure onto or across the line that it is read against: an interval from
0.0002 must not look like one from 0.
"""

import math

_MAX_DIGITS = 8
_P_DIGITS = 4


def shown(value: float, digits: int) -> str:
    """Show a score or a margin."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "n/a"


def shown_difference(value: float, digits: int) -> str:
    """Show a difference with its sign; only 0 itself looks like 0."""
    return _signed(value, _digits_apart(value, 0.0, digits))


def shown_interval(low: float, high: float, digits: int) -> str:
    """Show both ends with equally many digits; only 0 itself looks like 0."""
    both = max(_digits_apart(low, 0.0, digits), _digits_apart(high, 0.0, digits))
    return f"{_signed(low, both)} to {_signed(high, both)}"


def shown_p(p: float, level: float) -> str:
    """Show a probability on its own side of the level that it is compared with."""
    if p < 10**-_P_DIGITS:
        return f"<{10**-_P_DIGITS:.{_P_DIGITS}f}"
    return f"{p:.{_digits_apart(p, level, _P_DIGITS)}f}"


def _digits_apart(value: float, line: float, digits: int) -> int:
    """Return the fewest digits, from `digits` on, with which the value is not at the line."""
    if not math.isfinite(value) or value == line:
        return digits
    n_digits = range(digits, _MAX_DIGITS + 1)
    # What all these digits do not show is rounding of sums.
    return next((n for n in n_digits if round(value, n) != round(line, n)), digits)


def _signed(value: float, digits: int) -> str:
    if not math.isfinite(value):
        return "n/a"
    return f"{value:+.{digits}f}" if round(value, digits) else f"{0:.{digits}f}"
