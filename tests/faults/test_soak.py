"""F15: a long run under all kinds of faults, one after the other."""

import json
import random
import signal
import statistics
from pathlib import Path

import pytest
from faults.attempts import ForkServer
from faults.damage import DAMAGES
from faults.finished_runs import find_differences, read_leftovers
from faults.tally import open_tally
from faults.tasks import Task
from faults.triggers import Trigger

N_STEPS = 1000
N_FAULTS = 60
MAX_GROWTH_MIB = 16.0
LONG = (
    f"fine_tuning.training.max_steps={N_STEPS}",
    "fine_tuning.training.epochs=1000",
    "fine_tuning.training.learning_rate=1e-3",
    "fine_tuning.training.save_every_steps=20",
    "fine_tuning.training.eval_every_steps=50",
)


@pytest.mark.slow
def test_a_long_run_under_many_faults_ends_with_the_bytes_of_the_unbroken_one(
    server: ForkServer, task: Task, tmp_path: Path
) -> None:
    soak = open_tally(f"F15 {N_STEPS} steps, {N_FAULTS} random faults")
    whole, run_dir = tmp_path / "whole", tmp_path / "run"
    unbroken = server.run(task.finetune(whole, *LONG))
    assert unbroken.exit_code == 0, unbroken.text
    chosen = random.Random(15)
    for i in range(N_FAULTS):
        _do_harm(server, task.finetune(run_dir, *LONG), run_dir, unbroken.seconds, chosen)
        assert (run_dir / "run.json").exists() or i == 0
    ending = server.run(task.finetune(run_dir, *LONG))
    problems = [f"exit {ending.exit_code}: {ending.text[-300:]}"] if ending.exit_code else []
    soak.count("run", problems + find_differences(run_dir, read_leftovers(whole)))
    growth = _memory_growth_mib(whole)
    soak.count("memory", [f"grew by {growth:.0f} MiB"] if growth > MAX_GROWTH_MIB else [])
    soak.require_all()


def _do_harm(
    server: ForkServer, command: list[str], run_dir: Path, seconds: float, chosen: random.Random
) -> None:
    """Let the run go a little further, into one fault (not of memory: that rounds anew)."""
    moment = chosen.uniform(0.0, 2.0 * seconds / N_FAULTS + 0.5)
    kind = chosen.choice(["kill", "terminate", "damage", "nan", "no space"])
    if kind == "kill":
        server.start(command).kill_after(moment)
    elif kind in ("terminate", "damage"):
        server.start(command).kill_after(moment, signal.SIGTERM)
    elif kind == "nan":
        count = chosen.randint(1, 60)
        server.run(command, triggers=[Trigger("micro-batch", "nan", count=count)])
    else:
        path, count = "/checkpoints/.tmp-", chosen.randint(1, 20)
        trigger = Trigger("write", "no space", count=count, path=path, repeat=True)
        server.run(command, triggers=[trigger])
    saved = sorted((run_dir / "checkpoints").glob("step-*"))
    if kind == "damage" and len(saved) > 1:
        path = chosen.choice(sorted(saved[-1].iterdir()))
        DAMAGES[chosen.choice(sorted(DAMAGES))](path, chosen)


def _memory_growth_mib(run_dir: Path) -> float:
    """From the second tenth of a run to its last: median resident memory."""
    lines = (run_dir / "speed.jsonl").read_text(encoding="utf-8").splitlines()
    values = [json.loads(line).get("system/memory_gib") for line in lines]
    known = [value for value in values if value is not None]
    tenth = len(known) // 10
    first, last = known[tenth : 2 * tenth], known[-tenth:]
    return 1024 * (statistics.median(last) - statistics.median(first))
