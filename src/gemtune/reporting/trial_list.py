"""All trials as a table: one column for each hyperparameter that differs between them."""

from dataclasses import dataclass

from gemtune.monitoring.durations import in_words
from gemtune.reporting.numbers import count, score
from gemtune.reporting.study_files import Param, Study, Trial
from gemtune.reporting.study_words import GLYPHS, SOURCES, STATES, parameter, reached, role

_LOSS_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Cell:
    """A text, and the number that it is sorted by; without one it is sorted as text."""

    text: str
    number: float | None = None


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One trial."""

    number: int
    state: str
    glyph: str
    told: str
    """The state in words."""
    reason: str
    role: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class TrialTable:
    """All trials, and what is the same in all of them."""

    columns: tuple[str, ...]
    rows: tuple[TrialRow, ...]
    shared: tuple[tuple[str, str], ...]


def trial_table(study: Study) -> TrialTable:
    """Lay the table out; columns are those of `TrialRow.cells`."""
    names = list(dict.fromkeys(name for trial in study.trials for name in trial.params))
    values = {name: {parameter(t.params.get(name)) for t in study.trials} for name in names}
    different = [name for name in names if len(values[name]) > 1]
    with_usd = any(trial.usd for trial in study.trials)
    columns = ["loss", "reached", "steps", *different, "asked by", "time"]
    return TrialTable(
        columns=(*columns, *(["USD"] if with_usd else [])),
        rows=tuple(_row(trial, study, different, with_usd=with_usd) for trial in study.trials),
        shared=tuple(
            (name, text) for name in names if name not in different for text in values[name]
        ),
    )


def _row(trial: Trial, study: Study, names: list[str], *, with_usd: bool) -> TrialRow:
    last = trial.rungs[-1] if trial.rungs else None
    n_steps = last.n_steps if last else None
    cells = [
        Cell(score(trial.loss, _LOSS_DIGITS), trial.loss),
        Cell(reached(trial), last.fraction if last else None),
        Cell(count(n_steps), n_steps),
        *(_value_cell(trial.params.get(name)) for name in names),
        Cell(SOURCES.get(trial.source, trial.source)),
        Cell(in_words(trial.seconds), trial.seconds),
    ]
    if with_usd:
        cells.append(Cell("\u2013" if trial.usd is None else f"{trial.usd:.3f}", trial.usd))
    return TrialRow(
        number=trial.number,
        state=trial.state,
        glyph=GLYPHS[trial.state],
        told=STATES[trial.state],
        reason=trial.reason or "",
        role=role(trial, study),
        cells=tuple(cells),
    )


def _value_cell(value: Param) -> Cell:
    return Cell(parameter(value), value if isinstance(value, int | float) else None)
