"""A line for people after each part of a trial: how it went, the best so far, what is spent."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from gemtune.hyperparameter.budget import Budget
from gemtune.hyperparameter.records import Rung, Trial, read_trials
from gemtune.monitoring.durations import in_words

logger = logging.getLogger(__name__)

_ALL, _TRAINING = logging.getLogger("gemtune"), logging.getLogger("gemtune.fine_tuning")


@contextmanager
def without_details() -> Iterator[None]:
    """Keep quiet about how each trial is set up: there are many, and they are all alike."""
    before = _TRAINING.level
    if _ALL.getEffectiveLevel() > logging.DEBUG:
        _TRAINING.setLevel(logging.WARNING)
    try:
        yield
    finally:
        _TRAINING.setLevel(before)


def tell_result(budget: Budget, trial: Trial, rung: Rung) -> None:
    """Say what a part of a trial reached."""
    reached = rung.advance
    what = reached.failure or f"loss {reached.loss:.4f}"
    share = f"{100 * rung.fraction:.0f} %"
    logger.info(
        "trial %d (%s) at %s: %s%s | %s",
        trial.number,
        trial.source,
        share,
        what,
        _best(budget, trial, rung),
        _spent(budget),
    )


def _best(budget: Budget, trial: Trial, rung: Rung) -> str:
    losses = [
        (known.advance.loss, each.number)
        for each in read_trials(budget.store.study)
        for known in each.rungs
    ]
    if not rung.advance.failure:
        # The study learns of it only when somebody looks at all trials again.
        losses.append((rung.advance.loss, trial.number))
    if not losses:
        return ""
    loss, number = min(losses)
    return f" | best {loss:.4f} (trial {number})"


def _spent(budget: Budget) -> str:
    spent = budget.spent()
    if not budget.limits:
        return in_words(spent.wall_seconds)
    told = [
        f"{limit.shown(spent.of(limit))} of {limit.shown(limit.amount)}" for limit in budget.limits
    ]
    return ", ".join(told)
