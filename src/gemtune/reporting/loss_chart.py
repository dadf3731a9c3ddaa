"""The curves of training and validation loss."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from gemtune.reporting.chart_axis import Axis, Tick
from gemtune.reporting.run_files import Losses, TrainingRun

WIDTH, HEIGHT = 420, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 38, 408, 10, 208
_MAX_POINTS = 300
_SMOOTH_FROM = 30


@dataclass(frozen=True, slots=True)
class LossChart:
    """Lines as SVG writes points (`x,y x,y`), and what is on the axes."""

    train: str
    smoothed: str
    """A running mean; empty for runs so short that they need none."""
    validation: str
    validation_points: tuple[tuple[float, float, str], ...]
    """x, y and a description of every validation."""
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


def loss_chart(run: TrainingRun) -> LossChart | None:
    """Lay the curves out; None for a run without two records to connect."""
    train, validation = _thinned(run.train_losses), run.validation_losses
    points = [*train, *validation]
    if len({step for step, _ in points}) < 2:
        return None
    x = Axis(min(s for s, _ in points), max(s for s, _ in points), _LEFT, _RIGHT)
    y = Axis(0.0, max(loss for _, loss in points) * 1.05 or 1.0, _BOTTOM, _TOP)
    return LossChart(
        train=_line(train, x, y),
        smoothed=_line(_smoothed(train), x, y) if len(train) >= _SMOOTH_FROM else "",
        validation=_line(validation, x, y),
        validation_points=tuple(
            (x.place(step), y.place(loss), f"step {step:,}: {loss:.3f}")
            for step, loss in validation
        ),
        x_ticks=x.ticks(5),
        y_ticks=y.ticks(4),
    )


def _line(points: Sequence[tuple[float, float]], x: Axis, y: Axis) -> str:
    return " ".join(f"{x.place(step)},{y.place(loss)}" for step, loss in points)


def _thinned(losses: Losses) -> list[tuple[float, float]]:
    """Means of neighbours, so that a run of 100,000 steps is no drawing of 100,000 points."""
    size = -(-len(losses) // _MAX_POINTS) or 1
    parts = [losses[start : start + size] for start in range(0, len(losses), size)]
    return [(fmean(s for s, _ in part), fmean(loss for _, loss in part)) for part in parts]


def _smoothed(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    reach = max(2, len(points) // 30)
    return [
        (step, fmean(loss for _, loss in points[max(0, i - reach) : i + reach + 1]))
        for i, (step, _) in enumerate(points)
    ]
