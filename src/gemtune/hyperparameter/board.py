"""Where every trial stands: a pure function of what was measured."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from gemtune.hyperparameter.advance import Advance
from gemtune.hyperparameter.records import Trial
from gemtune.hyperparameter.rungs import survivors

Results = Mapping[tuple[int, int], Advance]
"""What was measured, by trial and rung."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a trial needs, or how it ended."""

    state: Literal["open", "waiting", "complete", "pruned", "ended"]
    """`open`: its next rung can be trained; `waiting`: others of its group have to reach it."""
    rung: int
    """The next one to train if it is open, else the last one that it reached."""


def standings(
    trials: Sequence[Trial], results: Results, n_rungs: int, eta: int
) -> dict[int, Standing]:
    """Where each trial stands, by number.

    Whoever asks gets the same answer: there is no order in which results must have come.
    """
    found: dict[int, Standing] = {}
    for _, group in groupby(trials, key=lambda trial: trial.group):
        members = list(group)
        is_whole = len(members) == members[0].group_size
        earlier = _losses_by_rung(found, results)
        found.update(_stand(members, is_whole, results, earlier, n_rungs, eta))
    return found


def _stand(
    members: Sequence[Trial],
    is_whole: bool,
    results: Results,
    earlier: Mapping[int, Sequence[float]],
    n_rungs: int,
    eta: int,
) -> Iterator[tuple[int, Standing]]:
    alive = {trial.number for trial in members}
    for rung in range(n_rungs):
        there = {number: results[number, rung] for number in alive if (number, rung) in results}
        ended = {number for number, advance in there.items() if advance.failure}
        yield from ((number, Standing("ended", rung)) for number in ended)
        yield from ((number, Standing("open", rung)) for number in alive - there.keys())
        losses = {number: there[number].loss for number in there.keys() - ended}
        if len(there) < len(alive) or not is_whole:
            yield from ((number, Standing("waiting", rung)) for number in losses)
            return
        alive = set(losses)
        if rung == n_rungs - 1:
            yield from ((number, Standing("complete", rung)) for number in alive)
            return
        alive = survivors(losses, earlier.get(rung, ()), eta, rung)
        yield from ((number, Standing("pruned", rung)) for number in losses.keys() - alive)


def _losses_by_rung(known: Mapping[int, Standing], results: Results) -> dict[int, list[float]]:
    losses: dict[int, list[float]] = {}
    for (number, rung), advance in results.items():
        if number in known and not advance.failure:
            losses.setdefault(rung, []).append(advance.loss)
    return losses
