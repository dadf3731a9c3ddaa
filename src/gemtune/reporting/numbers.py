"""Figures as people read them, rounded by the same rules as on the terminal."""

import re

from gemtune.evaluation.digits import shown, shown_difference, shown_interval, shown_p

_MAX_DIGITS = 6
_NOTHING = "\u2013"
# Of `1e-05`, what nobody writes.
_EXPONENT = re.compile(r"e\+?(-?)0*", re.ASCII)


def score(value: float | None, digits: int) -> str:
    """A score with the decimals that are worth showing: `0.512`."""
    if value is None:
        return _NOTHING
    text = shown(value, _bounded(digits))
    return _typeset(text if text.strip("-0.") else text.lstrip("-"))


def signed(value: float, digits: int) -> str:
    """A difference with its sign: `+0.512`."""
    return _typeset(shown_difference(value, _bounded(digits)))


def interval(low: float, high: float, digits: int) -> str:
    """Both ends: `+0.40 to +0.62`."""
    return _typeset(shown_interval(low, high, _bounded(digits)))


def probability(value: float | None, level: float) -> str:
    """A p value on its own side of the level that it is compared with."""
    return _NOTHING if value is None else shown_p(value, level)


def count(value: float | None) -> str:
    """A count with thousands apart: `12,345`."""
    return _NOTHING if value is None else f"{value:,.0f}"


def percent(share: float) -> str:
    """A share of one: `95 %`."""
    return f"{share * 100:g}\u00a0%"


def figure(value: float) -> str:
    """A setting as people write it, with six digits at most: `0.0005`, `1e-5`, `16`."""
    return _EXPONENT.sub(r"e\1", f"{value:g}")


def sentence(text: str) -> str:
    """Words of a message as a sentence."""
    return f"{text[:1].upper()}{text[1:]}."


def _bounded(digits: int) -> int:
    return min(max(digits, 0), _MAX_DIGITS)


def _typeset(text: str) -> str:
    return text.replace("-", "\u2212")
