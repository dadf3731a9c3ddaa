"""Time and money: what is spent, what the rest will cost, and when to ask for no more trials."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from gemtune.errors import BudgetError
from gemtune.hyperparameter.board import Results, Standing, standings
from gemtune.hyperparameter.claims import read_parts
from gemtune.hyperparameter.ledger import Session, Stopwatch, read_sessions
from gemtune.hyperparameter.limits import Limit
from gemtune.hyperparameter.pace import (
    FinalWork,
    Pace,
    Typical,
    finish_seconds,
    group_seconds,
    measure_pace,
)
from gemtune.hyperparameter.records import Trial, read_trials
from gemtune.hyperparameter.search import Search
from gemtune.hyperparameter.settle import Work
from gemtune.hyperparameter.spending import Spent, spent_by
from gemtune.hyperparameter.study import Store

logger = logging.getLogger(__name__)

_MARGIN = 1.1


@dataclass(frozen=True, slots=True)
class Projection:
    """What is to come after what is spent, in the unit of a limit."""

    search: float
    """The work in question, or what the trials take that have been begun."""
    final: float
    """Refits and proof, as measured."""
    reserve: float
    """Kept for them: `final`, or more if the config wants a larger share."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Watches over a study: what it answers follows from the records that all processes share."""

    store: Store
    search: Search
    limits: tuple[Limit, ...]
    reserve_share: float
    final_work: FinalWork
    n_validation_tokens: float
    """Of the rows that trials are ranked by."""
    identity: str
    """Of this process."""
    watch: Stopwatch
    """Of this process; what the records tell of it is some seconds old."""
    start_seconds: float = 0.0
    """What this process took before it could train anything; the next one takes as long."""

    def may_start(self, work: Work) -> bool:
        """Whether there is room for this work, its consequences and the end of the study.

        Raises:
            BudgetError: there is not even room for the settings that are always tried.
        """
        if not self.limits:
            return True
        results = self._results()
        pace = self._pace(results)
        if pace is None:
            # Nothing is known yet. The first trials are wanted anyway, and show what others cost.
            return work.n_trials <= max(1, len(self.search.tried))
        trials = read_trials(self.store.study)
        found = standings(trials, results, len(self.search.fractions), self.search.eta)
        if _is_first_group_alive(trials, found):
            self._require_room(results, found)
            return True
        seconds = _seconds_of(work, pace, self.search.eta)
        spent = self.spent()
        for limit in self.limits:
            planned = self._project(limit, pace, spent, seconds)
            if spent.of(limit) + planned.search + planned.reserve > limit.amount:
                _tell_refusal(limit, spent, planned, work)
                return False
        return True

    def may_refit(self, took_seconds: float) -> bool:
        """Whether winner and default can have one more seed, and still be compared in time.

        Args:
            took_seconds: What the last seed took on both sides.
        """
        pace, spent = self._pace(self._results()), self.spent()
        assert pace
        answering = replace(self.final_work, n_refits=0, n_validated_tokens=0)
        seconds = took_seconds + answering.seconds(pace, spent.setup_seconds)
        return all(
            spent.of(limit) + seconds * limit.per_second <= limit.amount for limit in self.limits
        )

    def spent(self) -> Spent:
        """What the study has cost so far."""
        return spent_by(self.sessions())

    def sessions(self) -> list[Session]:
        """The processes that worked on the study, this one up to now."""
        now = self.watch.seconds
        return [
            replace(each, seconds=now) if each.worker == self.identity else each
            for each in read_sessions(self.store.database, self.store.name)
        ]

    def project(self) -> dict[str, Projection]:
        """By unit: what the trials that have been begun and the end of the study will cost."""
        results = self._results()
        pace = self._pace(results)
        if pace is None:
            return {}
        trials = read_trials(self.store.study)
        found = standings(trials, results, len(self.search.fractions), self.search.eta)
        seconds, spent = finish_seconds(pace, found, self.search.eta), self.spent()
        return {each.unit: self._project(each, pace, spent, seconds) for each in self.limits}

    def _require_room(self, results: Results, found: Mapping[int, Standing]) -> None:
        """Give up only where even the fastest parts so far say that there is no room."""
        pace = self._pace(results, min)
        assert pace
        seconds, spent = finish_seconds(pace, found, self.search.eta), self.spent()
        for limit in self.limits:
            again = self.start_seconds * limit.per_second
            _require_room(limit, spent, self._project(limit, pace, spent, seconds), again)

    def _project(self, limit: Limit, pace: Pace, spent: Spent, seconds: float) -> Projection:
        at_once = spent.parallel if limit.unit == "seconds" else 1.0
        final = self.final_work.seconds(pace, spent.setup_seconds) * limit.per_second
        reserve = max(_MARGIN * final, self.reserve_share * limit.amount)
        return Projection(seconds * limit.per_second / at_once, final, reserve)

    def _pace(self, results: Results, typical: Typical = median) -> Pace | None:
        return measure_pace(results, self.search.fractions, self.n_validation_tokens, typical)

    def _results(self) -> Results:
        parts = read_parts(self.store.database, self.store.name)
        return {key: part.result for key, part in parts.items() if part.result is not None}


def _seconds_of(work: Work, pace: Pace, eta: int) -> float:
    """A new group counts with all that follows from it, a part of a trial alone."""
    if work.rung == 0:
        return group_seconds(pace, work.n_trials, eta)
    return work.n_trials * pace.part_seconds[work.rung]


def _is_first_group_alive(trials: Sequence[Trial], found: Mapping[int, Standing]) -> bool:
    """Whether there will be no winner at all if nothing more is trained."""
    is_alive = any(each.state in ("open", "waiting") for each in found.values())
    return is_alive and trials[0].group == trials[-1].group


def _require_room(limit: Limit, spent: Spent, planned: Projection, again: float) -> None:
    needed = spent.of(limit) + planned.search + planned.final
    if needed <= limit.amount:
        return
    smallest = limit.enough(_MARGIN * (needed + again))
    key = "timeout_seconds" if limit.unit == "seconds" else "max_usd"
    raise BudgetError(
        f"{limit.shown(limit.amount)} are too little: {limit.shown(spent.of(limit))} are spent, "
        f"the first trials need {limit.shown(planned.search)} more, refits and proof "
        f"{limit.shown(planned.final)}",
        fix=f"run the same command again with hyperparameter.{key}={smallest} or more; nothing "
        "that was trained is lost. Fewer hyperparameter.n_refits and "
        "fine_tuning.training.epochs need less",
    )


def _tell_refusal(limit: Limit, spent: Spent, planned: Projection, work: Work) -> None:
    if work.n_trials > 1:
        # Fewer are asked for next.
        return
    what = "another trial" if work.rung == 0 else "the next part of a trial"
    logger.info(
        "no room for %s: %s of %s are spent, it would take %s, and %s are kept for refits and "
        "proof",
        what,
        limit.shown(spent.of(limit)),
        limit.shown(limit.amount),
        limit.shown(planned.search),
        limit.shown(planned.reserve),
    )
