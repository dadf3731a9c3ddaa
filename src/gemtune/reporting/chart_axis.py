"""Scales of charts: round numbers on an axis, and where a value is drawn."""

import math
from dataclasses import dataclass

from gemtune.reporting.numbers import score

_STEPS = (1, 2, 5, 10)
# What division leaves: 0.3 / 0.1 is 2.9999999999999996.
_FORGIVEN = 1e-6


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled place on an axis, in units of the drawing."""

    position: float
    label: str


@dataclass(frozen=True, slots=True)
class Axis:
    """Maps the values `low`..`high` to the places `start`..`end`, which may run backwards."""

    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        """Where a value is drawn, rounded to a tenth of a unit; values outside stay at the edge."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + min(max(share, 0.0), 1.0) * (self.end - self.start), 1)

    def ticks(self, n_wanted: int) -> tuple[Tick, ...]:
        """About `n_wanted` round values between the ends."""
        step = _round_step((self.high - self.low) / n_wanted)
        digits = max(0, -math.floor(math.log10(step)))
        first = math.ceil(self.low / step - _FORGIVEN)
        last = math.floor(self.high / step + _FORGIVEN)
        values = [index * step for index in range(first, last + 1)]
        return tuple(Tick(self.place(value), score(value, digits)) for value in values)


def _round_step(least: float) -> float:
    magnitude = 10.0 ** math.floor(math.log10(least))
    return next(step * magnitude for step in _STEPS if step * magnitude >= least * (1 - _FORGIVEN))
