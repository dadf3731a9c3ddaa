"""Real worker processes that can be killed, forked from a server that has imported everything."""

import multiprocessing
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from hyperparameter.fake_engine import FakeEngine
from hyperparameter.searches import make_search, open_search, run_search

LONGEST_SECONDS = 120.0
STEP_SECONDS = 0.002

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["hyperparameter.children"])


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker is told."""

    url: str
    folder: Path
    study: str
    n_trials: int = 12


def work(job: Job) -> None:
    """What a child does."""
    search = make_search(job.n_trials)
    with closing(open_search(job.url, search, job.study)) as store:
        run_search(store, search, job.folder, FakeEngine(STEP_SECONDS))


def start(job: Job) -> BaseProcess:
    """Begin a worker."""
    process = _SERVER.Process(target=work, args=(job,))
    process.start()
    return process


def wait_for(processes: Sequence[BaseProcess]) -> None:
    """Until all have ended well."""
    deadline = time.monotonic() + LONGEST_SECONDS
    for process in processes:
        process.join(deadline - time.monotonic())
        assert process.exitcode == 0, f"a worker ended with {process.exitcode}"
