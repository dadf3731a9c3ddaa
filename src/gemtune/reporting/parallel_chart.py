"""Parallel coordinates: an axis for each hyperparameter, a line from top to bottom for each trial.

The axes lie flat, one below the other: so their names have room on a phone too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gemtune.reporting.chart_axis import Tick
from gemtune.reporting.log_axis import loss_axis, value_axis
from gemtune.reporting.numbers import score
from gemtune.reporting.rate_chart import LEARNING_RATE, reference_rate
from gemtune.reporting.study_files import Choices, Param, Span, Study, Trial
from gemtune.reporting.study_words import STATES, parameter, role, settings

WIDTH = 420
LEFT, RIGHT = 14, 406
_TOP, _STEP, _BELOW = 24, 84, 26
LOSS = "loss on the validation rows"
_MAX_NAME, _MAX_VALUE = 40, 14
_MOST_TICKS = 7
_CROWD = 60
_ON_TOP = ("ended", "running", "pruned", "complete", "default", "winner")


@dataclass(frozen=True, slots=True)
class Coordinate:
    """One axis."""

    name: str
    y: float
    searched: tuple[float, float] | None
    """From where to where the range goes; None for the loss, which has none."""
    ticks: tuple[Tick, ...]


@dataclass(frozen=True, slots=True)
class TrialLine:
    """One trial; it stops above the loss if it has none."""

    line: str
    kind: str
    label: str


@dataclass(frozen=True, slots=True)
class ParallelChart:
    """All axes and trials; those that a reader looks for are drawn last, so on top."""

    height: int
    axes: tuple[Coordinate, ...]
    lines: tuple[TrialLine, ...]

    @property
    def kinds(self) -> set[str]:
        """Which kinds of lines there are."""
        return {line.kind for line in self.lines}

    @property
    def is_crowded(self) -> bool:
        """Whether lines have to be faint for others to be seen."""
        return len(self.lines) > _CROWD


@dataclass(frozen=True, slots=True)
class _Scale:
    places: dict[int, float]
    """By number of the trial."""
    searched: tuple[float, float] | None
    ticks: tuple[Tick, ...]


def parallel_chart(study: Study) -> ParallelChart | None:
    """Lay the lines out; None where nothing was searched or tried."""
    names = list(study.space.ranges)
    if not names or not study.trials:
        return None
    scales = {_title(name, study): _scale(name, study) for name in names}
    if losses := {t.number: t.loss for t in study.trials if t.loss is not None}:
        y = loss_axis(list(losses.values()), LEFT, RIGHT)
        places = {number: y.place(loss) for number, loss in losses.items()}
        scales[LOSS] = _Scale(places, None, y.ticks(4))
    axes = [
        Coordinate(_short(name, _MAX_NAME), _TOP + _STEP * row, scale.searched, scale.ticks)
        for row, (name, scale) in enumerate(scales.items())
    ]
    lines = [_line(trial, study, axes, list(scales.values())) for trial in study.trials]
    return ParallelChart(
        height=_TOP + _STEP * (len(axes) - 1) + _BELOW,
        axes=tuple(axes),
        lines=tuple(sorted(lines, key=lambda line: _ON_TOP.index(line.kind))),
    )


def _line(
    trial: Trial, study: Study, axes: Sequence[Coordinate], scales: Sequence[_Scale]
) -> TrialLine:
    loss = "no loss" if trial.loss is None else f"loss {score(trial.loss, 4)}"
    searched = {name: trial.params.get(name) for name in study.space.ranges}
    return TrialLine(
        line=" ".join(
            f"{scale.places[trial.number]},{axis.y}"
            for axis, scale in zip(axes, scales, strict=True)
            if trial.number in scale.places
        ),
        kind=role(trial, study) or trial.state,
        label=f"trial {trial.number}, {STATES[trial.state]}: {settings(searched)}; {loss}",
    )


def _title(name: str, study: Study) -> str:
    if name == LEARNING_RATE and study.space.reference_batch:
        return f"{name} (as for batch size {parameter(study.space.reference_batch)})"
    return name


def _scale(name: str, study: Study) -> _Scale:
    found, widened = study.space.ranges[name], study.space.widened.ranges.get(name)
    values: dict[int, Param] = {
        trial.number: reference_rate(trial, study)
        if name == LEARNING_RATE
        else trial.params.get(name)
        for trial in study.trials
    }
    numbers = {n: v for n, v in values.items() if isinstance(v, int | float)}
    if isinstance(found, Span):
        return _number_scale(widened if isinstance(widened, Span) else found, numbers)
    return _choice_scale(found, {n: v for n, v in values.items() if v is not None})


def _number_scale(span: Span, numbers: dict[int, float]) -> _Scale:
    axis = value_axis([span.low, span.high, *numbers.values()], LEFT, RIGHT, is_log=span.is_log)
    return _Scale(
        places={number: axis.place(value) for number, value in numbers.items()},
        searched=(axis.place(span.low), axis.place(span.high)),
        ticks=axis.ticks(4),
    )


def _choice_scale(choices: Choices, values: dict[int, Param]) -> _Scale:
    """Values at equal distances, in their order; those that were only tried are there too."""
    every = {parameter(value): value for value in (*choices.values, *values.values())}
    shown = list(every)
    if all(isinstance(value, int | float) for value in every.values()):
        shown = sorted(every, key=lambda text: float(text))
    axis = value_axis(range(len(shown)), LEFT, RIGHT, is_log=False)
    places = {text: axis.place(index) for index, text in enumerate(shown)}
    searched = [places[parameter(value)] for value in choices.values]
    every_nth = -(-len(shown) // _MOST_TICKS)
    return _Scale(
        places={number: places[parameter(value)] for number, value in values.items()},
        searched=(min(searched), max(searched)) if searched else None,
        ticks=tuple(Tick(places[text], _short(text, _MAX_VALUE)) for text in shown[::every_nth]),
    )


def _short(text: str, n_characters: int) -> str:
    """A text that has room beside an axis."""
    return text if len(text) <= n_characters else f"{text[: n_characters - 1]}\u2026"
