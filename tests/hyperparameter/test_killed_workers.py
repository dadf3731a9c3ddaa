"""Workers are killed at random moments; the study ends as if nothing had happened."""

import random
import time
from contextlib import closing
from pathlib import Path

import pytest
from hyperparameter.children import Job, start, wait_for
from hyperparameter.searches import make_search, open_search, trials_of
from optuna.trial import TrialState

from gemtune.hyperparameter.database import sqlite_url

N_KILLS = 10
# A part that its workers keep dying with ends its trial, so no part may meet more than this.
MAX_KILLS_A_STUDY = 4
N_TRIALS = 12

Told = list[tuple[object, ...]]


def read(job: Job) -> tuple[Told, int]:
    """The trials, and how many of them are still open."""
    with closing(open_search(job.url, make_search(job.n_trials), job.study)) as store:
        running = store.study.get_trials(states=(TrialState.RUNNING, TrialState.WAITING))
        return trials_of(store), len(running)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Told, float]:
    """The trials of a study that nobody disturbed, and how long it took."""
    folder = tmp_path_factory.mktemp("unbroken")
    job = Job(sqlite_url(folder / "study.db"), folder, "unbroken", N_TRIALS)
    wait_for([start(job)])
    began = time.monotonic()
    again = Job(sqlite_url(folder / "again.db"), folder / "again", "unbroken", N_TRIALS)
    wait_for([start(again)])
    seconds = time.monotonic() - began
    assert read(job) == read(again)
    return read(job)[0], seconds


def test_a_worker_that_is_killed_and_started_again_finds_the_same_trials(
    unbroken: tuple[Told, float], tmp_path: Path
) -> None:
    expected, seconds = unbroken
    chosen = random.Random(10)
    n_kills, n_studies = 0, 0
    while n_kills < N_KILLS:
        n_studies += 1
        folder = tmp_path / str(n_studies)
        job = Job(sqlite_url(folder / "study.db"), folder, "killed", N_TRIALS)
        for _ in range(MAX_KILLS_A_STUDY):
            worker = start(job)
            worker.join(chosen.uniform(0.0, seconds))
            worker.kill()
            worker.join()
            n_kills += worker.exitcode == -9
        wait_for([start(job)])
        assert read(job) == (expected, 0)


def test_several_workers_on_one_file_find_the_same_trials_as_one(
    unbroken: tuple[Told, float], tmp_path: Path
) -> None:
    job = Job(sqlite_url(tmp_path / "study.db"), tmp_path, "many", N_TRIALS)
    wait_for([start(job) for _ in range(3)])
    assert read(job) == (unbroken[0], 0)


def test_workers_on_postgresql_that_are_killed_lose_no_trial_and_count_none_twice(
    unbroken: tuple[Told, float], postgresql_url: str, tmp_path: Path
) -> None:
    expected, seconds = unbroken
    chosen = random.Random(5)
    n_kills, n_studies = 0, 0
    while n_kills < N_KILLS / 2:
        n_studies += 1
        job = Job(postgresql_url, tmp_path / str(n_studies), f"killed {n_studies}", N_TRIALS)
        workers = [start(job) for _ in range(3)]
        for _ in range(MAX_KILLS_A_STUDY):
            time.sleep(chosen.uniform(0.0, seconds / 3))
            victim = workers.pop(chosen.randrange(len(workers)))
            victim.kill()
            victim.join()
            n_kills += victim.exitcode == -9
            workers.append(start(job))
        wait_for(workers)
        assert read(job) == (expected, 0)
