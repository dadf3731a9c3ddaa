"""Small searches, and what of their trials must not depend on who worked on them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hyperparameter.fake_engine import N_STEPS, FakeEngine

from gemtune.config.schema import Config, HyperparameterConfig
from gemtune.hyperparameter.records import Trial, read_trials
from gemtune.hyperparameter.search import BaseModel, Search, fingerprint_of, plan_search
from gemtune.hyperparameter.settle import MayStart, Work
from gemtune.hyperparameter.study import Store, open_study
from gemtune.hyperparameter.worker import Outcome, Pace, Worker, run_worker

BRISK = Pace(heartbeat_seconds=0.2, stale_seconds=60.0, poll_seconds=0.05)
STUDY = "a study"


def make_search(n_trials: int = 12, **settings: Any) -> Search:
    """A search whose rungs are at a ninth, a third and all of the budget."""
    config = Config(hyperparameter=HyperparameterConfig(**settings))
    return plan_search(config, n_trials, BaseModel(hidden_size=576), 10 * N_STEPS, n_warmup=5)


def open_search(url: str, search: Search, name: str = STUDY) -> Store:
    """The study of a search."""
    return open_study(url, name, fingerprint_of(search))


def always(work: Work) -> bool:
    """A budget without an end."""
    return True


def run_search(
    store: Store,
    search: Search,
    folder: Path,
    engine: FakeEngine | None = None,
    may_start: MayStart = always,
) -> Outcome:
    """One worker."""
    engine = engine or FakeEngine()
    return run_worker(Worker(store, search, engine, folder / "trials", may_start, pace=BRISK))


def told(trials: Sequence[Trial]) -> list[tuple[object, ...]]:
    """All but Optuna's own key."""
    return [(t.number, t.params, t.source, t.group, t.state, t.rungs, t.ended) for t in trials]


def trials_of(store: Store) -> list[tuple[object, ...]]:
    """What a study says about its trials."""
    return told(read_trials(store.study))
