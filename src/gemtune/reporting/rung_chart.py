"""Losses of all trials by the share of their tokens, up to where each of them stopped."""

from dataclasses import dataclass

from gemtune.reporting.chart_axis import Tick
from gemtune.reporting.log_axis import loss_axis, value_axis
from gemtune.reporting.numbers import score
from gemtune.reporting.study_files import Study, Trial
from gemtune.reporting.study_words import STATES, role, share_of_tokens

WIDTH, HEIGHT = 420, 300
LEFT, RIGHT, TOP, BOTTOM = 44, 400, 12, 262


@dataclass(frozen=True, slots=True)
class Curve:
    """A trial: a line that ends with the mark of its state."""

    line: str
    kind: str
    """Its role if it has one, else its state."""
    state: str
    end: tuple[float, float]
    label: str


@dataclass(frozen=True, slots=True)
class RungChart:
    """All trials; those that a reader looks for are drawn last, so on top."""

    curves: tuple[Curve, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


_ON_TOP = ("ended", "running", "pruned", "complete", "default", "winner")


def rung_chart(study: Study) -> RungChart | None:
    """Lay the curves out; None where no loss was measured."""
    measured = [(trial, _points(trial)) for trial in study.trials]
    losses = [loss for _, points in measured for _, loss in points]
    if not losses:
        return None
    x = value_axis(study.rungs, LEFT + 14, RIGHT, is_log=True)
    y = loss_axis(losses, BOTTOM, TOP)
    curves = [
        Curve(
            line=" ".join(f"{x.place(at)},{y.place(loss)}" for at, loss in points),
            kind=role(trial, study) or trial.state,
            state=trial.state,
            end=(x.place(points[-1][0]), y.place(points[-1][1])),
            label=_label(trial, points),
        )
        for trial, points in measured
        if points
    ]
    return RungChart(
        curves=tuple(sorted(curves, key=lambda curve: _ON_TOP.index(curve.kind))),
        x_ticks=tuple(Tick(x.place(rung), share_of_tokens(rung)) for rung in study.rungs),
        y_ticks=y.ticks(4),
    )


def _points(trial: Trial) -> list[tuple[float, float]]:
    return [(rung.fraction, rung.loss) for rung in trial.rungs if rung.loss is not None]


def _label(trial: Trial, points: list[tuple[float, float]]) -> str:
    told = ", ".join(f"{score(loss, 4)} at {share_of_tokens(at)}" for at, loss in points)
    return f"trial {trial.number}, {STATES[trial.state]}: {told}"
