"""F10: two processes in one run folder, clocks that jump, lost file times."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from faults.attempts import ForkServer, python_environment
from faults.finished_runs import find_differences
from faults.tally import counts, open_tally
from faults.tasks import Reference, Task
from faults.triggers import Trigger

HOUR = 3600.0


@counts(quick=1, full=5)
def test_of_two_processes_in_one_folder_one_wins_and_the_other_names_it(
    server: ForkServer, task: Task, reference: Reference, tmp_path: Path, n: int
) -> None:
    rivals = open_tally("F10 second process in the same folder")
    for i in range(n):
        run_dir = tmp_path / f"run-{i}"
        command = [sys.executable, "-m", "gemtune", *task.finetune(run_dir)]
        with (tmp_path / "log.txt").open("ab") as log:
            first = subprocess.Popen(command, env=python_environment(), stdout=log, stderr=log)
            while first.poll() is None and not (run_dir / "checkpoints").exists():
                time.sleep(0.005)
            # Held where it is, so that it cannot have ended before the second one looks.
            first.send_signal(signal.SIGSTOP)
            second = server.run(task.finetune(run_dir))
            third = server.run(task.finetune(run_dir, "--overwrite"))
            first.send_signal(signal.SIGCONT)
            code = first.wait()
        told = [
            f"exit {other.exit_code}: {other.text}"
            for other in (second, third)
            if other.exit_code != 2 or str(first.pid) not in other.text
        ]
        told += [f"the first one ended with {code}"] if code else []
        rivals.count(f"pair {i}", told + find_differences(run_dir, reference.leftovers))
    rivals.require_all()


@counts(quick=3, full=12)
def test_clocks_that_jump_and_lost_file_times_change_no_byte(
    server: ForkServer, task: Task, reference: Reference, tmp_path: Path, n: int
) -> None:
    jumps = open_tally("F10 clock moved by an hour, file times shuffled")
    chosen = random.Random(n)
    for i in range(n):
        run_dir = tmp_path / f"run-{i}"
        step = chosen.choice([6, 9, 12])
        kill = Trigger("open", "kill", path=f"/checkpoints/.tmp-{step:08d}")
        offset = chosen.choice([-HOUR, HOUR])
        server.run(task.finetune(run_dir), triggers=[kill])
        for path in run_dir.rglob("*"):
            moment = chosen.choice([0.0, time.time() - HOUR, time.time() + HOUR])
            os.utime(path, (moment, moment))
        ending = server.run(task.finetune(run_dir), clock_offset_seconds=offset)
        problems = [f"exit {ending.exit_code}: {ending.text}"] if ending.exit_code else []
        jumps.count(f"run {i}", problems + find_differences(run_dir, reference.leftovers))
    jumps.require_all()
