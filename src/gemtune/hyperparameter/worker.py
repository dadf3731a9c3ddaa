"""The loop of a worker: take a part of a trial, train it, say how it went; alone or one of many."""

import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from gemtune.hyperparameter.advance import Advance, Engine, Errand
from gemtune.hyperparameter.claims import finish_part, take_part
from gemtune.hyperparameter.database import naming_database
from gemtune.hyperparameter.holding import (
    HEARTBEAT_SECONDS,
    STALE_SECONDS,
    Holding,
    LostPartError,
    holding,
)
from gemtune.hyperparameter.process_identity import new_identity
from gemtune.hyperparameter.records import Rung, Trial
from gemtune.hyperparameter.search import Search
from gemtune.hyperparameter.settle import Board, MayStart, Work, settle, trial_dir
from gemtune.hyperparameter.stale_parts import Key, StaleWatch
from gemtune.hyperparameter.study import Store
from gemtune.runs.signals import uninterrupted

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """How often workers look at each other."""

    heartbeat_seconds: float = HEARTBEAT_SECONDS
    stale_seconds: float = STALE_SECONDS
    poll_seconds: float = 2.0
    """Between two looks for work while others train the rest of a rung."""
    max_deaths: int = 5
    """A part that this many workers died with ends its trial."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Why a worker stopped."""

    is_complete: bool
    """Every trial came to its end; else the budget had no room for more."""
    n_parts: int
    """Parts of trials that this worker trained."""


@dataclass(frozen=True, slots=True)
class Worker:
    """One process that trains trials of a study, alone or among others."""

    store: Store
    search: Search
    """The same for every worker."""
    engine: Engine
    trials_dir: Path
    """Where trials are parked; a folder that workers share saves work, no more."""
    may_start: MayStart
    """Whether the budget has room; asked before each group and each part of a trial."""
    on_result: Callable[[Trial, Rung], None] = lambda trial, rung: None
    """Told of each part that this worker trained, once its result is kept."""
    pace: Pace = field(default_factory=Pace)
    identity: str = field(default_factory=new_identity)


def run_worker(worker: Worker) -> Outcome:
    """Train until no trial is left, or until the budget has no room for what is next.

    Any number of workers do this at the same time. What they find does not depend on how many there
    are, on the order in which they finish, or on how often one of them is killed.

    Raises:
        RemoteError: the database cannot be reached any more.
    """
    store = worker.store
    watch, n_parts = StaleWatch(worker.pace.stale_seconds), 0
    while True:
        with naming_database(store.database), store.database.deciding(store.name):
            board = settle(store, worker.search, worker.trials_dir, worker.may_start)
        if board.is_over:
            return Outcome(not board.is_refused, n_parts)
        keys = _choose(board, watch, worker)
        if not keys:
            time.sleep(worker.pace.poll_seconds)
            continue
        keys = _within_budget(worker, keys)
        if not keys:
            return Outcome(False, n_parts)
        n_parts += _take_and_train(worker, board, keys)


def _choose(board: Board, watch: StaleWatch, worker: Worker) -> list[Key]:
    """The next parts that nobody holds, of one rung; first those whose trial is parked here."""
    free = watch.free_parts(board.parts)
    ready = [key for key in board.open_parts if key not in board.parts or key in free]
    ready.sort(key=lambda key: not _is_at_hand(key, worker.trials_dir))
    if not ready or _has_killed(board, ready[0]):
        return ready[:1]
    _, rung = ready[0]
    together = [key for key in ready if key[1] == rung and not _has_killed(board, key)]
    return together[: worker.engine.n_together]


def _has_killed(board: Board, key: Key) -> bool:
    """Whether somebody died with this part, which is then trained without company."""
    part = board.parts.get(key)
    return part is not None and bool(part.worker or part.n_deaths)


def _within_budget(worker: Worker, keys: Sequence[Key]) -> list[Key]:
    for n_trials in range(len(keys), 0, -1):
        if worker.may_start(_work(n_trials, keys[0], worker.search)):
            return list(keys[:n_trials])
    return []


def _is_at_hand(key: Key, trials_dir: Path) -> bool:
    number, rung = key
    return rung == 0 or trial_dir(trials_dir, number).exists()


def _work(n_trials: int, key: Key, search: Search) -> Work:
    _, rung = key
    fractions = (0.0, *search.fractions)
    return Work(n_trials, rung, fractions[rung], fractions[rung + 1])


def _take_and_train(worker: Worker, board: Board, keys: Sequence[Key]) -> int:
    """Train parts and keep the results; returns how many, without those of somebody else."""
    database, study = worker.store.database, worker.store.name
    with ExitStack() as stack:
        held = []
        for key in keys:
            with naming_database(database):
                part = take_part(database, study, key, worker.identity, board.parts.get(key))
            if part is not None:
                beating = holding(database, study, part, worker.pace.heartbeat_seconds)
                held.append(stack.enter_context(beating))
        try:
            advances = _train(worker, board, held)
        except LostPartError:
            numbers = ", ".join(str(each.part.trial) for each in held)
            logger.warning("trial %s: taken over, this worker was not heard of", numbers)
            return 0
        results = list(zip((each.part for each in held), advances, strict=True))
        with uninterrupted(), naming_database(database):
            kept = [each for each in results if finish_part(database, study, *each)]
    for part, advance in kept:
        fraction = worker.search.fractions[part.rung]
        worker.on_result(board.trials[part.trial], Rung(fraction, advance))
    return len(kept)


def _train(worker: Worker, board: Board, held: Sequence[Holding]) -> list[Advance]:
    if len(held) == 1 and held[0].part.n_deaths >= worker.pace.max_deaths:
        reason = f"{held[0].part.n_deaths} workers died while they trained it"
        return [Advance(0, 0, math.nan, 0.0, ended=reason)]
    errands = [_errand(worker, board.trials[each.part.trial], each) for each in held]
    if len(errands) == 1:
        alone = errands[0]
        return [
            worker.engine.advance(alone.params, alone.trial_dir, alone.to_fraction, alone.on_step)
        ]
    return worker.engine.advance_together(errands)


def _errand(worker: Worker, trial: Trial, held: Holding) -> Errand:
    fraction = worker.search.fractions[held.part.rung]
    logger.info("trial %d: to %.0f %% of its tokens", trial.number, 100 * fraction)
    folder = trial_dir(worker.trials_dir, trial.number)
    return Errand(trial.params, folder, fraction, held.require)
