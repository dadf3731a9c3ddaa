"""When a search asks for no more trials, and when its budget was too small from the start."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hyperparameter.fake_engine import N_STEPS, FakeEngine
from hyperparameter.searches import make_search, open_search

from gemtune.config.load import load_config
from gemtune.config.params import Params
from gemtune.config.schema import HyperparameterConfig
from gemtune.errors import BudgetError, ConfigError
from gemtune.hyperparameter.advance import Advance
from gemtune.hyperparameter.budget import Budget
from gemtune.hyperparameter.database import sqlite_url
from gemtune.hyperparameter.ledger import Stopwatch, keep_time
from gemtune.hyperparameter.limits import Limit, limits_of
from gemtune.hyperparameter.pace import FinalWork
from gemtune.hyperparameter.process_identity import new_identity
from gemtune.hyperparameter.records import Rung, Trial, read_trials
from gemtune.hyperparameter.worker import Worker, run_worker

TRIAL_SECONDS = 9.0
FINAL = FinalWork(n_refits=2, n_answering=0, n_answered_tokens=0, n_validated_tokens=0)
FINAL_SECONDS = 2 * TRIAL_SECONDS
USD_PER_HOUR = 36.0


class FakeWatch(Stopwatch):
    """Shows what the test wants."""

    now = 0.0

    @property
    def seconds(self) -> float:
        """As the test says."""
        return self.now


class SteadyEngine(FakeEngine):
    """Takes as long as its share of a trial says."""

    def advance(
        self, params: Params, trial_dir: Path, to_fraction: float, on_step: Callable[[], None]
    ) -> Advance:
        """Measure no clock."""
        before = self.n_steps_done
        reached = super().advance(params, trial_dir, to_fraction, on_step)
        share = (self.n_steps_done - before) / N_STEPS
        return replace(reached, seconds=share * TRIAL_SECONDS)


Run = Callable[..., tuple[list[Trial], bool]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Search until the budget ends it, by a clock of its own."""

    def start(
        *limits: Limit, share: float = 0.0, n_trials: int = 30, start_seconds: float = 0.0
    ) -> tuple[list[Trial], bool]:
        search = make_search(n_trials)
        store = open_search(sqlite_url(tmp_path / "study.db"), search)
        watch, me = FakeWatch(), new_identity()
        watch.now = start_seconds
        budget = Budget(store, search, limits, share, FINAL, 0, me, watch, start_seconds)

        def tick(trial: Trial, rung: Rung) -> None:
            watch.now += rung.advance.seconds

        with closing(store), keep_time(store.database, store.name, me, watch, 0.0, USD_PER_HOUR):
            engine = SteadyEngine()
            outcome = run_worker(
                Worker(store, search, engine, tmp_path, budget.may_start, tick, identity=me)
            )
            return read_trials(store.study), outcome.is_complete

    return start


def seconds_of(trials: list[Trial]) -> float:
    return sum(rung.advance.seconds for trial in trials for rung in trial.rungs)


def seconds(amount: float) -> Limit:
    return Limit(amount, "seconds", 1.0)


def test_without_limits_every_trial_is_tried(run: Run) -> None:
    trials, is_complete = run()
    assert (len(trials), is_complete) == (30, True)


def test_a_limit_lets_the_settings_that_are_always_tried_go_first(run: Run) -> None:
    trials, _ = run(seconds(1000))
    n_tried = sum(trial.source != "sampler" for trial in trials)
    assert trials[0].group_size == n_tried < trials[n_tried].group_size


def test_the_search_stops_while_there_is_room_for_the_end_of_the_study(run: Run) -> None:
    limit = 80.0
    trials, is_complete = run(seconds(limit))
    assert not is_complete
    assert 3 < len(trials) < 30
    assert seconds_of(trials) + FINAL_SECONDS <= limit
    assert any(trial.state == "complete" for trial in trials)


def test_a_larger_reserve_leaves_fewer_trials(run: Run) -> None:
    trials, _ = run(seconds(100.0), share=0.6)
    assert seconds_of(trials) <= 0.4 * 100.0


def test_the_last_group_is_as_large_as_the_budget_allows(run: Run) -> None:
    trials, _ = run(seconds(50.0))
    assert 0 < trials[-1].group_size < 9


def test_a_search_goes_on_where_the_budget_ended_it_when_there_is_more(run: Run) -> None:
    few, _ = run(seconds(50.0))
    many, is_complete = run(seconds(1000))
    assert is_complete
    assert [trial.params for trial in many[: len(few)]] == [trial.params for trial in few]


def test_too_little_for_the_first_trials_names_what_would_do(run: Run) -> None:
    with pytest.raises(BudgetError, match="are too little") as caught:
        run(seconds(25.0))
    assert caught.value.exit_code == 7
    smallest = float(caught.value.fix.split("timeout_seconds=")[1].split()[0])
    trials, _ = run(seconds(smallest))
    assert any(trial.state == "complete" for trial in trials)


def test_what_would_do_leaves_room_for_the_next_process_to_begin(run: Run) -> None:
    with pytest.raises(BudgetError) as caught:
        run(seconds(25.0), start_seconds=20.0)
    smallest = float(caught.value.fix.split("timeout_seconds=")[1].split()[0])
    trials, _ = run(seconds(smallest), start_seconds=20.0)
    assert any(trial.state == "complete" for trial in trials)


def test_too_little_money_names_what_would_do_to_the_cent(run: Run) -> None:
    with pytest.raises(BudgetError, match=r"0\.15 USD are too little") as caught:
        run(Limit(0.15, "USD", 0.01))
    smallest = float(caught.value.fix.split("max_usd=")[1].split()[0])
    assert smallest < 1
    trials, _ = run(Limit(smallest, "USD", 0.01))
    assert any(trial.state == "complete" for trial in trials)


def test_amounts_below_a_cent_are_not_shown_as_nothing() -> None:
    money = Limit(0.001, "USD", 0.0001)
    assert [money.shown(amount) for amount in (0.0, 0.0012, 0.5)] == [
        "0.00 USD", "0.0012 USD", "0.50 USD",
    ]  # fmt: skip


def test_the_time_of_earlier_processes_counts(run: Run, tmp_path: Path) -> None:
    search = make_search(30)
    watch, before = FakeWatch(), new_identity()
    watch.started_at -= 1000.0
    watch.now = 60.0
    with (
        closing(open_search(sqlite_url(tmp_path / "study.db"), search)) as store,
        keep_time(store.database, store.name, before, watch, 0.0, None),
    ):
        pass
    with pytest.raises(BudgetError, match="1 min 1 s are spent"):
        run(seconds(70.0))


@pytest.mark.parametrize(("took_seconds", "has_room"), [(20.0, True), (50.0, False)])
def test_another_seed_must_leave_room_for_the_answers(
    took_seconds: float, has_room: bool, tmp_path: Path
) -> None:
    search, watch, me = make_search(1), FakeWatch(), new_identity()
    store = open_search(sqlite_url(tmp_path / "study.db"), search)
    answers = FinalWork(2, n_answering=2, n_answered_tokens=0, n_validated_tokens=0)
    limits = (seconds(100.0),)
    budget = Budget(store, search, limits, 0.0, answers, 0, me, watch)
    with closing(store), keep_time(store.database, store.name, me, watch, 10.0, None):
        engine = SteadyEngine()
        run_worker(Worker(store, search, engine, tmp_path, lambda _: True, identity=me))
        watch.now = 40.0
        # 40 are spent, two models are loaded in 20.
        assert budget.may_refit(took_seconds) is has_room


def test_money_is_machine_time_at_the_price_of_the_machine(run: Run) -> None:
    # A second costs a cent.
    trials, is_complete = run(Limit(0.80, "USD", 0.01))
    assert not is_complete
    assert any(trial.state == "complete" for trial in trials)
    assert len(trials) < 30


def test_a_limit_in_money_without_a_price_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match=r"hyperparameter\.max_usd is set") as caught:
        limits_of(HyperparameterConfig(max_usd=5.0))
    assert "usd_per_hour" in caught.value.fix


def test_the_limits_of_a_config_are_in_seconds_and_in_money() -> None:
    settings = ["timeout_seconds=60", "max_usd=2", "usd_per_hour=3.6"]
    config = load_config((), [f"hyperparameter.{text}" for text in settings])
    assert limits_of(config.hyperparameter) == (
        Limit(60.0, "seconds", 1.0),
        Limit(2.0, "USD", 3.6 / 3600),
    )
