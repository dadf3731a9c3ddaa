"""F3: the power fails; what was not synced is lost, in part or whole."""

import random
from collections.abc import Mapping
from pathlib import Path

from faults.attempts import ForkServer
from faults.finished_runs import find_differences
from faults.power_loss import RECORDING_OPTIONS, Disk
from faults.syscalls import Call, require_strace, run_traced
from faults.tally import counts, open_tally
from faults.tasks import Reference, Task


def test_the_replay_of_all_calls_gives_the_folder_that_is_there(
    server: ForkServer, task: Task, tmp_path: Path
) -> None:
    """What the other tests of this file believe in."""
    run_dir = tmp_path / "run"
    disk = Disk(run_dir)
    disk.replay(_record(server, task, run_dir))
    there = {
        str(path.relative_to(run_dir)): path.read_bytes() if path.is_file() else None
        for path in run_dir.rglob("*")
    }
    assert disk.contents() == there


@counts(quick=6, full=500)
def test_a_power_loss_leaves_a_run_that_goes_on(
    server: ForkServer, task: Task, reference: Reference, tmp_path: Path, n: int
) -> None:
    losses = open_tally("F3 power loss, unsynced data and names dropped")
    recorded_dir = tmp_path / "recorded"
    calls = _record(server, task, recorded_dir)
    chosen = random.Random(n)
    for i in range(n):
        moment = round((i + chosen.random()) * len(calls) / n)
        disk = Disk(recorded_dir)
        disk.replay(calls[:moment])
        run_dir = tmp_path / f"run-{i}"
        left = disk.after_power_loss(chosen)
        _write(run_dir, left)
        ending = server.run(task.finetune(run_dir))
        if ending.exit_code:
            problems = [f"exit {ending.exit_code}: {ending.text[-300:]}"]
        else:
            problems = find_differences(run_dir, reference.leftovers)
        problems += _lost(disk.contents(), left)
        losses.count(f"before call {moment} of {len(calls)}", problems)
    losses.require_all()


def _record(server: ForkServer, task: Task, run_dir: Path) -> list[Call]:
    require_strace()
    trace = run_dir.with_name("recorded.txt")
    command = task.finetune(run_dir)
    ending, calls = run_traced(server, command, trace, *RECORDING_OPTIONS)
    assert ending.exit_code == 0, ending.text
    return calls


def _lost(before: Mapping[str, bytes | None], after: Mapping[str, bytes | None]) -> list[str]:
    """Of two checkpoints the older one was finished for sure, so it must have survived."""
    *older, _ = _checkpoints(before) or [""]
    if older and max(_checkpoints(after), default="") < older[-1]:
        return [f"{older[-1]} is lost"]
    return []


def _checkpoints(names: Mapping[str, bytes | None]) -> list[str]:
    folders = [name.partition("/")[2] for name in names if name.startswith("checkpoints/step-")]
    return sorted(name for name in folders if "/" not in name)


def _write(folder: Path, contents: dict[str, bytes | None]) -> None:
    folder.mkdir()
    for name, content in contents.items():
        if content is None:
            (folder / name).mkdir()
        else:
            (folder / name).write_bytes(content)
