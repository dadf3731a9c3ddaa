"""The loop of a worker: take a part of a trial, train it, say how it went; alone or one of many."""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gemtune.hyperparameter.advance import Advance, Engine
from gemtune.hyperparameter.claims import Part, finish_part, take_part
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
        key = _choose(board, watch, worker.trials_dir)
        if key is None:
            time.sleep(worker.pace.poll_seconds)
        elif not worker.may_start(_work(key, worker.search)):
            return Outcome(False, n_parts)
        else:
            n_parts += _take_and_train(worker, board, key)


def _choose(board: Board, watch: StaleWatch, trials_dir: Path) -> Key | None:
    """The next part that nobody holds, first of all one whose trial is parked here."""
    free = watch.free_parts(board.parts)
    ready = [key for key in board.open_parts if key not in board.parts or key in free]
    return min(ready, key=lambda key: not _is_at_hand(key, trials_dir), default=None)


def _is_at_hand(key: Key, trials_dir: Path) -> bool:
    number, rung = key
    return rung == 0 or trial_dir(trials_dir, number).exists()


def _work(key: Key, search: Search) -> Work:
    _, rung = key
    fractions = (0.0, *search.fractions)
    return Work(1, rung, fractions[rung], fractions[rung + 1])


def _take_and_train(worker: Worker, board: Board, key: Key) -> bool:
    """Train a part and keep the result; False if it is somebody else's."""
    database, study = worker.store.database, worker.store.name
    with naming_database(database):
        part = take_part(database, study, key, worker.identity, board.parts.get(key))
    if part is None:
        return False
    with holding(database, study, part, worker.pace.heartbeat_seconds) as held:
        try:
            advance = _train(worker, board.trials[part.trial], part, held)
        except LostPartError:
            logger.warning("trial %d: taken over, this worker was not heard of", part.trial)
            return False
        with uninterrupted(), naming_database(database):
            is_kept = finish_part(database, study, part, advance)
    if is_kept:
        trial, fraction = board.trials[part.trial], worker.search.fractions[part.rung]
        worker.on_result(trial, Rung(fraction, advance))
    return is_kept


def _train(worker: Worker, trial: Trial, part: Part, held: Holding) -> Advance:
    if part.n_deaths >= worker.pace.max_deaths:
        reason = f"{part.n_deaths} workers died while they trained it"
        return Advance(0, 0, math.nan, 0.0, ended=reason)
    folder = trial_dir(worker.trials_dir, trial.number)
    fraction = worker.search.fractions[part.rung]
    logger.info("trial %d: to %.0f %% of its tokens", trial.number, 100 * fraction)
    return worker.engine.advance(trial.params, folder, fraction, held.require)
