"""How the gains of single rows are spread."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gemtune.reporting.chart_axis import Axis, Tick
from gemtune.reporting.numbers import count, score, signed

WIDTH, HEIGHT = 420, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 38, 408, 22, 160
_BINS_A_SIDE = 10
_GAP = 1.5

Outcome = Literal["worse", "equal", "better"]


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar from the base line up."""

    x: float
    y: float
    width: float
    height: float
    outcome: Outcome
    label: str


@dataclass(frozen=True, slots=True)
class Histogram:
    """Bars from most lost to most gained, rows without a change in the middle."""

    bars: tuple[Bar, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


def histogram(gains: Sequence[float], digits: int) -> Histogram | None:
    """Count gains in bins of equal width, ten for each direction; None if no row changed."""
    widest = max(map(abs, gains), default=0.0)
    if not widest:
        return None
    counts = [0] * (2 * _BINS_A_SIDE + 1)
    for gain in gains:
        counts[_bin(gain, widest)] += 1
    slot = (_RIGHT - _LEFT) / len(counts)
    y = Axis(0, max(counts), _BOTTOM, _TOP)
    bars = [
        Bar(
            x=round(_LEFT + index * slot + _GAP / 2, 1),
            y=y.place(n_rows),
            width=round(slot - _GAP, 1),
            height=round(_BOTTOM - y.place(n_rows), 1),
            outcome=_outcome(index),
            label=f"{count(n_rows)} rows: {_meaning(index, widest, digits)}",
        )
        for index, n_rows in enumerate(counts)
        if n_rows
    ]
    ends = ((_LEFT, -widest), ((_LEFT + _RIGHT) / 2, 0.0), (_RIGHT, widest))
    x_ticks = tuple(Tick(round(place, 1), signed(value, 2)) for place, value in ends)
    return Histogram(tuple(bars), x_ticks, tuple(t for t in y.ticks(3) if "." not in t.label))


def _bin(gain: float, widest: float) -> int:
    if not gain:
        return _BINS_A_SIDE
    # The outer edge belongs to the last bin.
    step = min(int(abs(gain) / widest * _BINS_A_SIDE), _BINS_A_SIDE - 1) + 1
    return _BINS_A_SIDE + (step if gain > 0 else -step)


def _outcome(index: int) -> Outcome:
    if index == _BINS_A_SIDE:
        return "equal"
    return "better" if index > _BINS_A_SIDE else "worse"


def _meaning(index: int, widest: float, digits: int) -> str:
    if index == _BINS_A_SIDE:
        return "no change"
    step = abs(index - _BINS_A_SIDE)
    low, high = ((step - 1) * widest / _BINS_A_SIDE, step * widest / _BINS_A_SIDE)
    return f"{_outcome(index)} by {score(low, digits)} to {score(high, digits)}"
