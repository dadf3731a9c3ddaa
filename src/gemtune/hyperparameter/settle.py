"""Writing into the study what follows from the results, and what is to be tried next.

Done by one process at a time. Each step is either one transaction or can be done twice, so a kill
between any two of them leaves something from which the next process goes on in the same way.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from gemtune.config.params import Params
from gemtune.hyperparameter.advance import Advance
from gemtune.hyperparameter.board import Standing, standings
from gemtune.hyperparameter.claims import Part, read_parts
from gemtune.hyperparameter.hull import hull, shown
from gemtune.hyperparameter.records import (
    ENDED,
    GROUP,
    GROUP_SIZE,
    PARAMS,
    RUNGS,
    SOURCE,
    Rung,
    Trial,
    read_trials,
    rungs_as_json,
)
from gemtune.hyperparameter.rungs import group_size
from gemtune.hyperparameter.sampling import next_setting
from gemtune.hyperparameter.search import Search
from gemtune.hyperparameter.study import Store
from gemtune.runs.files import remove_tree

_ENDINGS = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "ended": TrialState.FAIL}


@dataclass(frozen=True, slots=True)
class Work:
    """Something that costs time, before it is begun."""

    n_trials: int
    """How many trials it advances: a new group, or one."""
    rung: int
    from_fraction: float
    to_fraction: float
    """Shares of a whole trial, for each of the trials."""


MayStart = Callable[[Work], bool]


@dataclass(frozen=True, slots=True)
class Board:
    """The study after everything that follows from the results has been written down."""

    trials: Mapping[int, Trial]
    standings: Mapping[int, Standing]
    parts: Mapping[tuple[int, int], Part]
    is_refused: bool = False
    """There would be a next group, but the budget has no room for it."""

    @property
    def open_parts(self) -> list[tuple[int, int]]:
        """What can be trained now, by trial and rung; the first comes first."""
        found = [(n, each.rung) for n, each in self.standings.items() if each.state == "open"]
        return sorted(found, key=lambda key: (key[1], key[0]))

    @property
    def is_over(self) -> bool:
        """Whether every trial has come to its end."""
        return not any(each.state in ("open", "waiting") for each in self.standings.values())


def settle(store: Store, search: Search, trials_dir: Path, may_start: MayStart) -> Board:
    """Bring the study up to date; begin the next group of trials if the last one is through.

    Args:
        store: The study; the caller holds its lock.
        search: What is searched.
        trials_dir: The trials parked on this machine; those that have ended are removed.
        may_start: Whether the budget has room.
    """
    board = _look(store, search)
    for number, standing in board.standings.items():
        if board.trials[number].state == "running":
            _write_results(store.study, board, number, search.fractions)
        parked = trial_dir(trials_dir, number)
        if standing.state in ("pruned", "ended") and parked.exists():
            remove_tree(parked)
    if _begin_trials(store.study, search, board, may_start):
        return settle(store, search, trials_dir, may_start)
    is_short = board.is_over and len(board.trials) < search.n_trials
    return Board(board.trials, board.standings, board.parts, is_refused=is_short)


def trial_dir(trials_dir: Path, number: int) -> Path:
    """Where a trial is parked."""
    return trials_dir / f"trial-{number:04d}"


def _look(store: Store, search: Search) -> Board:
    trials = read_trials(store.study)
    parts = read_parts(store.database, store.name)
    results = {key: part.result for key, part in parts.items() if part.result is not None}
    found = standings(trials, results, len(search.fractions), search.eta)
    return Board({trial.number: trial for trial in trials}, found, parts)


def _write_results(
    study: optuna.Study, board: Board, number: int, fractions: Sequence[float]
) -> None:
    """Tell Optuna what was measured, and the end of the trial if this is it."""
    trial, standing = board.trials[number], board.standings[number]
    reached = [
        Rung(fraction, advance)
        for rung, fraction in enumerate(fractions)
        if (advance := _result(board.parts, number, rung)) and not advance.failure
    ]
    if len(reached) == len(trial.rungs) and standing.state not in _ENDINGS:
        return
    handle = optuna.Trial(study, trial.key)
    reported = study.get_trials(deepcopy=False)[number].intermediate_values
    for rung in reached:
        if (step := percent(rung.fraction)) not in reported:
            handle.report(rung.advance.loss, step)
    handle.set_user_attr(RUNGS, rungs_as_json(reached))
    if standing.state not in _ENDINGS:
        return
    last = _result(board.parts, number, standing.rung)
    assert last is not None
    if last.failure:
        handle.set_user_attr(ENDED, last.failure)
    loss = last.loss if standing.state == "complete" else None
    study.tell(number, loss, state=_ENDINGS[standing.state])


def percent(fraction: float) -> int:
    """Optuna counts steps in whole numbers: those of the token budget in percent."""
    return round(100 * fraction)


def _result(parts: Mapping[tuple[int, int], Part], number: int, rung: int) -> Advance | None:
    part = parts.get((number, rung))
    return part.result if part else None


def _begin_trials(study: optuna.Study, search: Search, board: Board, may_start: MayStart) -> bool:
    """Add the trials of the next group, or those that a kill left out of the last one."""
    trials = list(board.trials.values())
    group, size = (trials[-1].group, trials[-1].group_size) if trials else (0, 0)
    n_there = sum(trial.group == group for trial in trials)
    if n_there == size:
        if not board.is_over or len(trials) >= search.n_trials:
            return False
        group, size, n_there = group + 1, group_size(search.eta), 0
        size = min(size, search.n_trials - len(trials))
        # Where a whole group is too much, a smaller one may still be in the budget.
        fitting = (n for n in range(size, 0, -1) if may_start(Work(n, 0, 0.0, search.fractions[0])))
        size = next(fitting, 0)
        if not size:
            return False
    shape = hull(search)
    for _ in range(size - n_there):
        chosen = next_setting(search, read_trials(study))
        about = {PARAMS: chosen.params, SOURCE: chosen.source, GROUP: group, GROUP_SIZE: size}
        study.add_trial(_new_trial(chosen.params, shape, about))
    return True


def _new_trial(
    params: Params, shape: Mapping[str, BaseDistribution], about: Mapping[str, object]
) -> FrozenTrial:
    return create_trial(
        state=TrialState.RUNNING,
        params={name: shown(params[name]) for name in shape if name in params},
        distributions={name: each for name, each in shape.items() if name in params},
        user_attrs=json.loads(json.dumps(about)),
    )
