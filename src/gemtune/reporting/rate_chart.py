"""Losses by learning rate, with the ends of the range that was searched."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from gemtune.reporting.chart_axis import Tick
from gemtune.reporting.log_axis import LogAxis, loss_axis
from gemtune.reporting.numbers import figure, score
from gemtune.reporting.study_files import Span, Study, Trial
from gemtune.reporting.study_words import role, share_of_tokens

WIDTH, HEIGHT = 420, 290
LEFT, RIGHT, TOP, BOTTOM = 44, 404, 26, 250
FAILED = TOP + 8
LEARNING_RATE = "learning_rate"
_ROOM = 1.25


@dataclass(frozen=True, slots=True)
class RateMark:
    """A trial: its loss at the first comparison, and the last one of those that came to the end."""

    x: float
    first: float
    last: float | None
    kind: str
    label: str


@dataclass(frozen=True, slots=True)
class RangeEnd:
    """One end of the range."""

    x: float
    label: str
    is_widened: bool


@dataclass(frozen=True, slots=True)
class RateChart:
    """All trials that were measured, with an end of the range wherever there is one."""

    marks: tuple[RateMark, ...]
    failed: tuple[tuple[float, str], ...]
    """x and a description of trials that broke down before they had a loss."""
    ends: tuple[RangeEnd, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


def reference_rate(trial: Trial, study: Study) -> float | None:
    """The learning rate of a trial as the range means it; None for one without."""
    rate, batch = trial.params.get(LEARNING_RATE), trial.params.get("batch_size")
    if not isinstance(rate, int | float) or rate <= 0:
        return None
    reference = study.space.reference_batch
    if not reference or not isinstance(batch, int | float) or batch <= 0:
        return float(rate)
    return rate / math.sqrt(batch / reference)


def rate_chart(study: Study) -> RateChart | None:
    """Lay the marks out; None where the learning rate was not searched or nothing was measured."""
    searched = study.space.ranges.get(LEARNING_RATE)
    found = list(_measured(study))
    if searched is None or not found:
        return None
    ends = list(_range_ends(study))
    failed = list(_failed(study))
    rates = [rate for _, rate, *_ in (*found, *failed)] + [rate for rate, _ in ends]
    x = LogAxis(min(rates) / _ROOM, max(rates) * _ROOM, LEFT, RIGHT)
    y = loss_axis(
        [loss for *_, losses in found for loss in losses], BOTTOM, FAILED + 12 if failed else TOP
    )
    marks = [
        RateMark(
            x=x.place(rate),
            first=y.place(losses[0]),
            last=y.place(losses[-1]) if trial.state == "complete" else None,
            kind=role(trial, study) or trial.state,
            label=_label(trial, rate, losses),
        )
        for trial, rate, losses in found
    ]
    return RateChart(
        marks=tuple(sorted(marks, key=lambda mark: mark.kind in ("winner", "default"))),
        failed=tuple(
            (x.place(rate), f"trial {trial.number}, learning rate {_shown(rate)}: {trial.reason}")
            for trial, rate in failed
        ),
        ends=tuple(RangeEnd(x.place(rate), figure(rate), is_widened) for rate, is_widened in ends),
        x_ticks=x.ticks(),
        y_ticks=y.ticks(4),
    )


def _measured(study: Study) -> Iterator[tuple[Trial, float, list[float]]]:
    for trial in study.trials:
        losses = [rung.loss for rung in trial.rungs if rung.loss is not None]
        rate = reference_rate(trial, study)
        if losses and rate is not None:
            yield trial, rate, losses


def _failed(study: Study) -> Iterator[tuple[Trial, float]]:
    for trial in study.trials:
        rate = reference_rate(trial, study)
        if trial.state == "ended" and trial.loss is None and rate is not None:
            yield trial, rate


def _range_ends(study: Study) -> Iterator[tuple[float, bool]]:
    first = study.space.ranges[LEARNING_RATE]
    last = study.space.widened.ranges.get(LEARNING_RATE)
    if not isinstance(first, Span):
        return
    known = {first.low, first.high}
    yield from ((rate, False) for rate in (first.low, first.high) if rate > 0)
    if isinstance(last, Span):
        yield from ((r, True) for r in (last.low, last.high) if r not in known and r > 0)


def _label(trial: Trial, rate: float, losses: list[float]) -> str:
    told = f"trial {trial.number}, learning rate {_shown(rate)}: "
    told += f"{score(losses[0], 4)} at {share_of_tokens(trial.rungs[0].fraction)}"
    if trial.state == "complete":
        told += f", {score(losses[-1], 4)} at the end"
    return told


def _shown(rate: float) -> str:
    return figure(float(f"{rate:.3g}"))
