"""The next setting to try, as a pure function of the trials before it."""

import hashlib
from collections.abc import Sequence

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from gemtune.config.params import Param
from gemtune.hyperparameter.edges import find_edges, widen
from gemtune.hyperparameter.presets import Tried
from gemtune.hyperparameter.records import Trial
from gemtune.hyperparameter.search import Search
from gemtune.hyperparameter.space import Space, decode, distributions, encode

N_RANDOM = 5
SAMPLER = "sampler"

_AS_BAD_AS_CAN_BE = {0: float("inf")}


def next_setting(search: Search, trials: Sequence[Trial]) -> Tried:
    """What the trial with the next number tries.

    Earlier groups have been measured to their ends; trials of the current group are avoided. The
    sampler sees a copy of the study in its own coordinates. So nothing of it needs to be kept, and
    the same trials give the same next one, in another process and after a kill too.

    Args:
        search: The search.
        trials: All trials so far, by number.
    """
    number = len(trials)
    if number < len(search.tried):
        return search.tried[number]
    space = space_after(search, trials)
    shape = distributions(space)
    seen = [_as_sampler_sees(trial, space, shape) for trial in trials]
    sampler = new_sampler(search.seed, number)
    study = optuna.create_study(storage=None, sampler=sampler, direction="minimize")
    study.add_trials([trial for trial in seen if trial])
    point = study.ask(fixed_distributions=shape).params
    return Tried(SAMPLER, {**search.base, **decode(point, space)})


def new_sampler(seed: int, number: int) -> TPESampler:
    """The sampler of one trial; every argument that changes a result is given."""
    digest = hashlib.sha256(f"{seed} {number}".encode()).digest()
    return TPESampler(
        multivariate=True,
        constant_liar=True,
        n_startup_trials=N_RANDOM,
        seed=int.from_bytes(digest[:4], "big"),
    )


def space_after(search: Search, trials: Sequence[Trial]) -> Space:
    """The space, widened once for every end at which a finished group had its best trial."""
    space = search.space
    if not search.auto_extend:
        return space
    widened: set[str] = set()
    for group in sorted({trial.group for trial in trials}):
        best = best_trial([trial for trial in trials if trial.group <= group])
        if any(trial.state == "running" for trial in trials if trial.group <= group) or not best:
            break
        edges = [each for each in find_edges(space, best.params) if each.name not in widened]
        space = widen(space, edges)
        widened |= {each.name for each in edges}
    return space


def best_trial(trials: Sequence[Trial]) -> Trial | None:
    """The trial with the lowest loss of those that came to the end; None if none did."""
    complete = [trial for trial in trials if trial.state == "complete"]
    return min(complete, key=lambda trial: (trial.loss, trial.number), default=None)


def _as_sampler_sees(
    trial: Trial, space: Space, shape: dict[str, BaseDistribution]
) -> FrozenTrial | None:
    """A trial in the coordinates of the space; None if it lies outside."""
    point = encode(trial.params, space)
    if point is None:
        return None
    params: dict[str, Param] = dict(point)
    if trial.state == "complete":
        return create_trial(params=params, distributions=shape, value=trial.loss)
    if trial.state == "running":
        return create_trial(params=params, distributions=shape, state=TrialState.RUNNING)
    # A trial that ended would otherwise be forgotten, and its neighbours be tried again.
    losses = {i: rung.advance.loss for i, rung in enumerate(trial.rungs)}
    return create_trial(
        params=params,
        distributions=shape,
        state=TrialState.PRUNED,
        intermediate_values=_AS_BAD_AS_CAN_BE if trial.state == "ended" else losses,
    )
