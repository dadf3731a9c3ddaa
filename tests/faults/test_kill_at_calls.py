"""F2: SIGKILL before a call to the file system: in saving, rotating, publishing, logging."""

from pathlib import Path

from faults.attempts import Ending, ForkServer
from faults.choosing import spread
from faults.finished_runs import find_differences
from faults.syscalls import CHANGING, calls_below, require_strace, run_traced
from faults.tally import ALL, counts, open_tally
from faults.tasks import Reference, Task
from faults.triggers import Trigger


@counts(quick=6, full=ALL)
def test_a_kill_before_a_kernel_call_leaves_a_run_that_goes_on(
    server: ForkServer, task: Task, reference: Reference, tmp_path: Path, n: int
) -> None:
    require_strace()
    kills = open_tally("F2 SIGKILL before a call to the kernel that changes the run folder")
    run_dir, trace = tmp_path / "traced", tmp_path / "trace.txt"
    options = ("-e", f"trace={CHANGING}")
    ending, calls = run_traced(server, task.finetune(run_dir), trace, *options)
    assert ending.exit_code == 0, ending.text
    for i, call in enumerate(spread(calls_below(run_dir, calls), n)):
        # Of the same length as that of the traced run, so that the same calls happen.
        other_dir = tmp_path / f"r{i:05d}"
        inject = ("-e", f"inject={call.name}:signal=KILL:when={call.count}")
        killed, _ = run_traced(server, task.finetune(other_dir), trace, *options, *inject)
        resumed = server.run(task.finetune(other_dir))
        kills.count(
            f"{call.name} {call.count} ({call.arguments[-150:]})",
            _problems(killed, resumed, other_dir, reference),
        )
    kills.require_all()


@counts(quick=3, full=ALL)
def test_a_kill_before_a_file_call_of_python_leaves_a_run_that_goes_on(
    server: ForkServer, task: Task, reference: Reference, tmp_path: Path, n: int
) -> None:
    """The same without strace: for machines where nobody may trace."""
    kills = open_tally("F2 SIGKILL before a file call of Python below the run folder")
    run_dir, trace = tmp_path / "traced", tmp_path / "trace.txt"
    looking = Trigger("write", "kill", path=str(run_dir), trace=str(trace))
    ending = server.run(task.finetune(run_dir), triggers=[looking])
    assert ending.exit_code == 0, ending.text
    calls = trace.read_text(encoding="utf-8").splitlines()
    for i, count in enumerate(spread(range(1, len(calls) + 1), n)):
        other_dir = tmp_path / f"r{i:05d}"
        trigger = Trigger("write", "kill", count=count, path=str(other_dir))
        killed = server.run(task.finetune(other_dir), triggers=[trigger])
        resumed = server.run(task.finetune(other_dir))
        problems = _problems(killed, resumed, other_dir, reference)
        kills.count(f"call {count} ({calls[count - 1][-150:]})", problems)
    kills.require_all()


def _problems(killed: Ending, resumed: Ending, run_dir: Path, reference: Reference) -> list[str]:
    problems = [] if killed.exit_code == -9 else [f"was not killed: {killed.exit_code}"]
    if resumed.exit_code:
        return [*problems, f"exit {resumed.exit_code}: {resumed.text[-300:]}"]
    return problems + find_differences(run_dir, reference.leftovers)
