"""F1: SIGKILL at any time; the same command then gives the bytes of the unbroken run.

A hundred kills in a row: python -m pytest -m slow tests/faults/test_kill.py
"""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from faults.attempts import ForkServer, python_environment
from faults.finished_runs import find_differences
from faults.tally import counts, open_tally
from faults.tasks import Reference, Task, run_undisturbed

MAX_KILLS_A_RUN = 3
WITH_TENSORBOARD = "monitoring.tensorboard=true"


@pytest.fixture(scope="module")
def watched(server: ForkServer, task: Task, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """The unbroken run with TensorBoard, whose thread writes while the others are killed."""
    return run_undisturbed(server, task, tmp_path_factory.mktemp("watched"), WITH_TENSORBOARD)


@counts(quick=20, full=300)
def test_runs_that_were_killed_at_random_times_end_with_the_same_bytes(
    server: ForkServer, task: Task, watched: Reference, tmp_path: Path, n: int
) -> None:
    chosen = random.Random(n)
    kills, runs = open_tally("F1 SIGKILL at a random time"), 0
    while kills.n_attempts < n:
        runs += 1
        run_dir = tmp_path / f"run-{runs}"
        moments = []
        while len(moments) < MAX_KILLS_A_RUN:
            moments.append(chosen.uniform(0.0, watched.seconds))
            ending = server.start(task.finetune(run_dir, WITH_TENSORBOARD)).kill_after(moments[-1])
            if ending.exit_code != -9:
                moments.pop()
                break
        last = server.run(task.finetune(run_dir, WITH_TENSORBOARD))
        problems = find_differences(run_dir, watched.leftovers)
        if last.exit_code:
            problems = [f"exit {last.exit_code}: {last.text[-300:]}"]
        for moment in moments:
            kills.count(f"run {runs}, killed after {moment:.3f} s", problems)
    kills.require_all()


@counts(quick=1, full=5)
def test_real_processes_survive_kills_as_forked_ones_do(
    task: Task, watched: Reference, tmp_path: Path, n: int
) -> None:
    """Forked children stand for real processes in this suite: here is the check of that."""
    chosen = random.Random(n)
    kills = open_tally("F1 SIGKILL of a real process, in training")
    for i in range(n):
        run_dir = tmp_path / f"run-{i}"
        command = [sys.executable, "-m", "gemtune", *task.finetune(run_dir, WITH_TENSORBOARD)]
        with (tmp_path / "log.txt").open("ab") as log:
            process = subprocess.Popen(command, env=python_environment(), stdout=log, stderr=log)
            while process.poll() is None and not (run_dir / "checkpoints").exists():
                time.sleep(0.01)
            time.sleep(chosen.uniform(0.0, 0.3))
            process.kill()
            process.wait()
            code = subprocess.run(command, env=python_environment(), stdout=log, stderr=log)
        problems = find_differences(run_dir, watched.leftovers)
        if code.returncode:
            problems.append(f"exit code {code.returncode}")
        kills.count(f"kill {i}", problems)
    kills.require_all()
