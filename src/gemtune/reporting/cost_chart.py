"""The lowest loss so far against what was spent, in money, time and trials."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gemtune.monitoring.durations import in_words
from gemtune.reporting.chart_axis import Axis, Tick
from gemtune.reporting.log_axis import loss_axis
from gemtune.reporting.numbers import score
from gemtune.reporting.study_files import Point, Study

WIDTH, HEIGHT = 360, 230
LEFT, RIGHT, TOP, BOTTOM = 44, 350, 10, 190
_HOURS_FROM, _MINUTES_FROM = 2 * 3600, 2 * 60


@dataclass(frozen=True, slots=True)
class CostChart:
    """One drawing: a line in steps, and a dot wherever the best loss fell."""

    unit: str
    line: str
    dots: tuple[tuple[float, float, str], ...]
    """x, y and a description."""
    default: float | None
    """Height of what the default reached in the search, if it came to its end."""
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


@dataclass(frozen=True, slots=True)
class _Unit:
    name: str
    amount: Callable[[Point], float]
    shown: Callable[[Point], str]


def cost_charts(study: Study) -> list[CostChart]:
    """A drawing by unit; money only where the price of every machine is known."""
    points = study.best_so_far
    if not points:
        return []
    units = [_time_unit(points[-1].seconds), _Unit("trials, whole", _trials, _shown_trials)]
    if study.usd is not None and all(point.usd is not None for point in points):
        units.insert(0, _Unit("USD", _usd, lambda point: f"{_usd(point):.2f} USD"))
    return [_draw(points, unit, _default_loss(study)) for unit in units]


def _draw(points: Sequence[Point], unit: _Unit, default: float | None) -> CostChart:
    losses = [point.loss for point in points] + ([default] if default is not None else [])
    x = Axis(0.0, max(map(unit.amount, points)) or 1.0, LEFT, RIGHT)
    y = loss_axis(losses, BOTTOM, TOP)
    falls = [
        (point, before)
        for point, before in zip(points, (None, *points), strict=False)
        if before is None or point.loss < before.loss
    ]
    corners: list[str] = []
    for point, before in falls:
        at = x.place(unit.amount(point))
        if before:
            corners.append(f"{at},{y.place(before.loss)}")
        corners.append(f"{at},{y.place(point.loss)}")
    corners.append(f"{x.place(unit.amount(points[-1]))},{y.place(points[-1].loss)}")
    return CostChart(
        unit=unit.name,
        line=" ".join(corners),
        dots=tuple(
            (
                x.place(unit.amount(point)),
                y.place(point.loss),
                f"trial {point.trial}: {score(point.loss, 4)} after {unit.shown(point)}",
            )
            for point, _ in falls
        ),
        default=None if default is None else y.place(default),
        x_ticks=x.ticks(4),
        y_ticks=y.ticks(4),
    )


def _default_loss(study: Study) -> float | None:
    trial = study.default_trial
    return trial.loss if trial and trial.state == "complete" else None


def _time_unit(longest: float) -> _Unit:
    name, size = next(
        (name, size)
        for name, size, least in (
            ("hours", 3600, _HOURS_FROM),
            ("minutes", 60, _MINUTES_FROM),
            ("seconds", 1, 0),
        )
        if longest >= least
    )
    return _Unit(
        f"{name} of training",
        lambda point: point.seconds / size,
        lambda point: f"{in_words(point.seconds)} of training",
    )


def _usd(point: Point) -> float:
    return point.usd or 0.0


def _trials(point: Point) -> float:
    return point.trials


def _shown_trials(point: Point) -> str:
    return f"the tokens of {score(point.trials, 1)} whole trials"
