"""Where trials stand, told from results alone."""

import math

from gemtune.hyperparameter.advance import Advance
from gemtune.hyperparameter.board import Results, standings
from gemtune.hyperparameter.records import Trial

N_RUNGS, ETA = 3, 3


def group(numbers: range, size: int | None = None, which: int = 1) -> list[Trial]:
    size = len(numbers) if size is None else size
    return [Trial(n, {}, "sampler", which, size, "running", (), None, n) for n in numbers]


def at(rung: int, losses: dict[int, float]) -> Results:
    return {(n, rung): Advance(1, 1, loss, 0.1) for n, loss in losses.items()}


def states(trials: list[Trial], results: Results) -> str:
    found = standings(trials, results, N_RUNGS, ETA)
    return " ".join(f"{found[n].state[0]}{found[n].rung}" for n in sorted(found))


def test_new_trials_are_open_at_the_first_rung() -> None:
    assert states(group(range(3)), {}) == "o0 o0 o0"


def test_who_has_reached_a_rung_waits_for_the_others() -> None:
    assert states(group(range(3)), at(0, {0: 1.0, 2: 3.0})) == "w0 o0 w0"


def test_when_all_have_reached_it_the_best_go_on_and_the_others_are_pruned() -> None:
    results = at(0, {0: 1.0, 1: 2.0, 2: 3.0})
    assert states(group(range(3)), results) == "o1 o1 p0"
    results = {**results, **at(1, {0: 0.9, 1: 0.8})}
    assert states(group(range(3)), results) == "p1 o2 p0"
    assert states(group(range(3)), {**results, **at(2, {1: 0.5})}) == "p1 c2 p0"


def test_a_loss_that_is_no_number_ends_its_trial_alone() -> None:
    results = at(0, {0: math.nan, 1: 2.0, 2: 3.0})
    assert states(group(range(3)), results) == "e0 o1 o1"


def test_a_group_of_which_all_end_is_over() -> None:
    results = at(0, dict.fromkeys(range(3), math.inf))
    assert states(group(range(3)), results) == "e0 e0 e0"


def test_nothing_is_decided_while_a_kill_has_left_a_group_incomplete() -> None:
    assert states(group(range(2), size=3), at(0, {0: 1.0, 1: 2.0})) == "w0 w0"


def test_later_groups_are_measured_against_earlier_ones() -> None:
    trials = [*group(range(3)), *group(range(3, 6), which=2)]
    results = {**at(0, {0: 1.0, 1: 2.0, 2: 3.0}), **at(1, {0: 0.9, 1: 0.8}), **at(2, {1: 0.5})}
    worse = {**results, **at(0, {3: 5.0, 4: 6.0, 5: 7.0})}
    assert states(trials, worse) == "p1 c2 p0 p0 p0 p0"
    better = {**results, **at(0, {3: 0.1, 4: 0.2, 5: 0.3})}
    assert states(trials, better) == "p1 c2 p0 o1 o1 p0"
