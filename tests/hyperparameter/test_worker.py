"""One worker: what it finds, when it stops, and how it goes on."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hyperparameter.fake_engine import N_STEPS, FakeEngine
from hyperparameter.searches import BRISK, always, make_search, open_search, run_search, trials_of
from optuna.trial import TrialState

from gemtune.config.params import Params
from gemtune.errors import ArtefactError
from gemtune.hyperparameter.advance import Advance
from gemtune.hyperparameter.claims import give_back_part, read_parts, take_part
from gemtune.hyperparameter.database import sqlite_url
from gemtune.hyperparameter.edges import find_edges
from gemtune.hyperparameter.records import Trial, read_trials
from gemtune.hyperparameter.sampling import best_trial, space_after
from gemtune.hyperparameter.search import Search
from gemtune.hyperparameter.settle import Work
from gemtune.hyperparameter.space import Span
from gemtune.hyperparameter.study import Store


@contextmanager
def study(folder: Path, search: Search) -> Iterator[Store]:
    with closing(open_search(sqlite_url(folder / "study.db"), search)) as store:
        yield store


def test_a_search_tries_exactly_as_many_settings_as_asked(tmp_path: Path) -> None:
    search = make_search(12)
    with study(tmp_path, search) as store:
        outcome = run_search(store, search, tmp_path)
        states = [trial.state for trial in store.study.trials]
        reported = [trial.intermediate_values for trial in store.study.trials]
        trials = read_trials(store.study)
    assert outcome.is_complete
    assert len(states) == 12
    assert set(states) == {TrialState.COMPLETE, TrialState.PRUNED}
    assert all(list(each) == [11, 33, 100][: len(each)] for each in reported)
    assert [trial.source for trial in trials[:4]] == ["config", "plan", "evidence", "sampler"]


def test_halving_costs_a_fraction_of_training_every_trial_to_its_end(tmp_path: Path) -> None:
    search, engine = make_search(18), FakeEngine()
    with study(tmp_path, search) as store:
        run_search(store, search, tmp_path, engine)
    assert engine.n_steps_done < 0.4 * 18 * N_STEPS


def test_pruned_trials_leave_only_their_record(tmp_path: Path) -> None:
    search = make_search(9)
    with study(tmp_path, search) as store:
        run_search(store, search, tmp_path)
        complete = [t.number for t in read_trials(store.study) if t.state == "complete"]
    left = {path.name for path in (tmp_path / "trials").iterdir()}
    assert left == {f"trial-{number:04d}" for number in complete}


def test_the_sampler_comes_closer_to_the_optimum_than_chance(tmp_path: Path) -> None:
    search = make_search(18)
    with study(tmp_path, search) as store:
        run_search(store, search, tmp_path)
        best = best_trial(read_trials(store.study))
    assert best is not None
    assert best.loss == pytest.approx(1.0, abs=0.1)


class Diverging(FakeEngine):
    """Diverges in the second trial."""

    def advance(
        self, params: Params, trial_dir: Path, to_fraction: float, on_step: Callable[[], None]
    ) -> Advance:
        """The second one ends."""
        advance = super().advance(params, trial_dir, to_fraction, on_step)
        is_second = trial_dir.name == "trial-0001"
        return replace(advance, ended="the loss is nan at step 3" if is_second else None)


def test_a_trial_that_diverges_ends_alone_and_counts_as_one(tmp_path: Path) -> None:
    search = make_search(9)
    with study(tmp_path, search) as store:
        outcome = run_search(store, search, tmp_path, Diverging())
        trials = read_trials(store.study)
        failed = store.study.get_trials(states=(TrialState.FAIL,))
    assert outcome.is_complete
    assert len(trials) == 9
    assert [trial.number for trial in failed] == [1]
    assert trials[1].ended == "the loss is nan at step 3"
    assert not (tmp_path / "trials" / "trial-0001").exists()


def test_the_best_at_the_edge_widens_the_range_once(tmp_path: Path) -> None:
    search = make_search(14, space="seed")
    with study(tmp_path, search) as store:
        run_search(store, search, tmp_path)
        trials = read_trials(store.study)
    found = space_after(search, trials).ranges["learning_rate"]
    assert isinstance(found, Span)
    assert (found.low, found.high) == pytest.approx((1e-6, 1e-3))
    first = [rate_of(t) for t in trials if t.group == 1 and t.source == "sampler"]
    later = [rate_of(t) for t in trials if t.group > 1]
    assert max(first) <= 1e-4 < max(later) <= 1.001e-3


def rate_of(trial: Trial) -> float:
    rate = trial.params["learning_rate"]
    assert isinstance(rate, float)
    return rate


def test_a_range_stays_as_it_is_if_it_shall(tmp_path: Path) -> None:
    search = make_search(12, space="seed", auto_extend=False)
    with study(tmp_path, search) as store:
        run_search(store, search, tmp_path)
        trials = read_trials(store.study)
    best = best_trial(trials)
    assert best is not None
    assert space_after(search, trials) == search.space
    assert [edge.side for edge in find_edges(search.space, best.params)] == ["high"]


def test_more_trials_can_be_asked_for_later(tmp_path: Path) -> None:
    few, more = make_search(9), make_search(14)
    with study(tmp_path, few) as store:
        run_search(store, few, tmp_path)
        before = trials_of(store)
    with study(tmp_path, more) as store:
        assert run_search(store, more, tmp_path).is_complete
        after = trials_of(store)
    assert (after[:9], len(after)) == (before, 14)


def test_a_study_that_is_over_is_not_touched_again(tmp_path: Path) -> None:
    search = make_search(9)
    with study(tmp_path, search) as store:
        run_search(store, search, tmp_path)
        before = trials_of(store)
        assert run_search(store, search, tmp_path).n_parts == 0
        assert trials_of(store) == before


def test_a_spent_budget_stops_the_worker_and_more_of_it_lets_it_go_on(tmp_path: Path) -> None:
    search = make_search(12)
    asked: list[Work] = []

    def may_start(work: Work) -> bool:
        asked.append(work)
        return len(asked) < 8

    with study(tmp_path, search) as store:
        stopped = run_search(store, search, tmp_path, may_start=may_start)
        assert (stopped.is_complete, stopped.n_parts) == (False, 6)
        assert run_search(store, search, tmp_path, may_start=always).is_complete
        broken = trials_of(store)
    with study(tmp_path / "unbroken", search) as store:
        run_search(store, search, tmp_path / "unbroken")
        assert trials_of(store) == broken
    assert asked[:2] == [Work(n, 0, 0.0, search.fractions[0]) for n in (9, 1)]


def test_a_budget_without_room_for_a_group_ends_the_search_between_groups(tmp_path: Path) -> None:
    search = make_search(18)
    with study(tmp_path, search) as store:

        def may_start(work: Work) -> bool:
            trials = read_trials(store.study)
            return not trials or any(trial.state == "running" for trial in trials)

        outcome = run_search(store, search, tmp_path, may_start=may_start)
        trials = read_trials(store.study)
    assert not outcome.is_complete
    assert len(trials) == 9
    assert {trial.state for trial in trials} == {"complete", "pruned"}


class Interrupted(FakeEngine):
    """Ctrl-C strikes in the middle of a part."""

    def advance(
        self, params: Params, trial_dir: Path, to_fraction: float, on_step: Callable[[], None]
    ) -> Advance:
        """Nothing gets done."""
        raise KeyboardInterrupt


def test_an_interrupt_passes_and_gives_the_part_back(tmp_path: Path) -> None:
    search = make_search(9)
    with study(tmp_path, search) as store:
        with pytest.raises(KeyboardInterrupt):
            run_search(store, search, tmp_path, Interrupted())
        assert run_search(store, search, tmp_path).is_complete
        assert len(read_trials(store.study)) == 9


def test_a_study_that_was_begun_with_something_else_is_refused(tmp_path: Path) -> None:
    with study(tmp_path, make_search(9)):
        pass
    with pytest.raises(ArtefactError, match=r"hyperparameter\.seed: 42 -> 7") as caught:
        open_search(sqlite_url(tmp_path / "study.db"), make_search(9, seed=7))
    assert caught.value.exit_code == 4
    with pytest.raises(ArtefactError, match=r"space\.lora_alpha: nothing -> "):
        open_search(sqlite_url(tmp_path / "study.db"), make_search(9, space="seed"))


def test_a_part_that_every_worker_dies_with_ends_its_trial(tmp_path: Path) -> None:
    search, key = make_search(9), (0, 0)
    with study(tmp_path, search) as store:
        with pytest.raises(KeyboardInterrupt):
            run_search(store, search, tmp_path, Interrupted())
        for i in range(BRISK.max_deaths + 1):
            there = read_parts(store.database, store.name)[key]
            assert take_part(store.database, store.name, key, f"worker {i}", there)
        last = read_parts(store.database, store.name)[key]
        assert give_back_part(store.database, store.name, last)
        assert run_search(store, search, tmp_path).is_complete
        trials = read_trials(store.study)
    assert trials[0].ended == "5 workers died while they trained it"
    assert len(trials) == 9
