"""Scales in logarithms, and the choice between them and plain ones."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gemtune.reporting.chart_axis import Axis, Tick
from gemtune.reporting.numbers import figure

_MANY_TIMES = 4.0
_ROOM = 0.04
_FEWEST_TICKS = 3
_MOST_DECADES = 5
_MANTISSAS = ((1,), (1, 3), (1, 2, 5))


@dataclass(frozen=True, slots=True)
class LogAxis:
    """Maps the logarithms of `low`..`high`, both above 0, to the places `start`..`end`."""

    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        """Where a value is drawn, rounded to a tenth of a unit; values outside stay at the edge."""
        inside = min(max(value, self.low), self.high)
        share = math.log(inside / self.low) / math.log(self.high / self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, n_wanted: int = _FEWEST_TICKS) -> tuple[Tick, ...]:
        """Round values between the ends, `n_wanted` or more if there are as many."""
        values: list[float] = []
        for mantissas in _MANTISSAS:
            values = self._round_values(mantissas)
            if len(values) >= n_wanted:
                break
        return tuple(Tick(self.place(value), figure(value)) for value in values)

    def _round_values(self, mantissas: Sequence[int]) -> list[float]:
        first, last = math.floor(math.log10(self.low)), math.floor(math.log10(self.high))
        every = -(-(last - first) // _MOST_DECADES) or 1
        # Multiplied by powers of ten, numbers would get digits that nobody wrote.
        found = [float(f"{m}e{n}") for n in range(first, last + 1, every) for m in mantissas]
        return [value for value in found if self.low <= value <= self.high]


def loss_axis(losses: Sequence[float], start: float, end: float) -> Axis | LogAxis:
    """A scale for losses: in logarithms where some are many times as large as others."""
    low, high = min(losses), max(losses)
    if low > 0 and high / low > _MANY_TIMES:
        room = (high / low) ** _ROOM
        return LogAxis(low / room, high * room, start, end)
    room = (high - low) * _ROOM or abs(high) * _ROOM or 1.0
    return Axis(low - room, high + room, start, end)


def value_axis(
    values: Sequence[float], start: float, end: float, *, is_log: bool
) -> Axis | LogAxis:
    """A scale from the lowest value to the highest, with a little room around a single one."""
    low, high = min(values), max(values)
    if is_log and low > 0:
        return (
            LogAxis(low, high, start, end) if low < high else LogAxis(low / 2, low * 2, start, end)
        )
    return Axis(low, high, start, end) if low < high else Axis(low - 1, low + 1, start, end)
