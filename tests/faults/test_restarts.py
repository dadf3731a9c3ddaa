"""F14: a platform starts the same command again and again, as clouds do after every exit."""

from pathlib import Path

import pytest
from faults.attempts import ForkServer
from faults.finished_runs import find_differences
from faults.tally import open_tally
from faults.tasks import Reference, Task
from faults.triggers import Trigger

N_STARTS = 4
MAX_SECONDS = 10.0


def test_a_permanent_failure_stays_the_same_one_and_is_found_fast(
    server: ForkServer, task: Task, tmp_path: Path
) -> None:
    restarts = open_tally("F14 four starts after a permanent failure: same exit code, fast")
    (bad_data := tmp_path / "bad").mkdir()
    (bad_data / "train.jsonl").write_text("{", encoding="utf-8")
    run_dir = tmp_path / "run"
    config = ["--config-path", str(task.config)]
    failures = {
        2: task.finetune(run_dir, "fine_tuning.lora.dropuot=1"),
        3: ["finetune", str(bad_data), str(run_dir), *config],
        4: task.finetune(run_dir, f"fine_tuning.model={tmp_path / 'missing'}"),
        5: task.finetune(
            run_dir,
            "fine_tuning.training.learning_rate=1e30",
            "fine_tuning.training.warmup_steps=0",
        ),
    }
    for code, command in failures.items():
        endings = [server.run(command) for _ in range(N_STARTS)]
        problems = [
            f"exit {ending.exit_code}: {ending.text[-200:]}"
            for ending in endings
            if ending.exit_code != code
        ]
        slow = max(ending.seconds for ending in endings)
        problems += [f"took {slow:.1f} s"] if slow > MAX_SECONDS else []
        restarts.count(f"exit code {code}", problems)
    restarts.require_all()


@pytest.mark.parametrize("n_starts", [N_STARTS])
def test_preempted_again_and_again_a_run_still_ends(
    server: ForkServer, task: Task, reference: Reference, tmp_path: Path, n_starts: int
) -> None:
    preempted = open_tally("F14 preempted at every start, then done")
    run_dir = tmp_path / "run"
    problems = []
    for _ in range(n_starts):
        # Three steps or so further each time.
        trigger = Trigger("micro-batch", "terminate", count=8)
        ending = server.run(task.finetune(run_dir), triggers=[trigger])
        if ending.exit_code not in (0, 75):
            problems.append(f"exit {ending.exit_code}: {ending.text[-200:]}")
    for _ in range(2):
        ending = server.run(task.finetune(run_dir))
        problems += [f"exit {ending.exit_code}: {ending.text[-200:]}"] if ending.exit_code else []
        problems += find_differences(run_dir, reference.leftovers)
    preempted.count("run", problems)
    preempted.require_all()


def test_a_finished_run_says_so_at_once_and_touches_nothing(
    server: ForkServer, task: Task, reference: Reference, tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    assert server.run(task.finetune(run_dir)).exit_code == 0
    before = {path: path.stat().st_mtime_ns for path in run_dir.rglob("*") if path.is_file()}
    ending = server.run(task.finetune(run_dir))
    assert ending.exit_code == 0, ending.text
    assert "--overwrite" in ending.text
    lock = run_dir / "run.lock"
    after = {path: path.stat().st_mtime_ns for path in run_dir.rglob("*") if path.is_file()}
    assert {**after, lock: 0} == {**before, lock: 0}
