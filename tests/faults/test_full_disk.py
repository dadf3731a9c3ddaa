"""F6: the disk is full, over quota, broken or read-only; with space the same command goes on."""

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from faults.attempts import Ending, ForkServer
from faults.finished_runs import find_differences, find_remains
from faults.small_disk import small_disk
from faults.syscalls import calls_below, require_strace, run_traced
from faults.tally import ALL, counts, open_tally
from faults.tasks import Reference, Task
from faults.triggers import Trigger

EXIT_RESOURCES = 6


@counts(quick=2, full=60)
def test_a_disk_that_fills_up_while_a_run_goes_on_ends_it_and_can_be_cured(
    server: ForkServer, task: Task, reference: Reference, tmp_path: Path, n: int
) -> None:
    full = open_tally("F6 disk full from a micro-batch on, then freed")
    chosen = random.Random(n)
    for i in range(n):
        with _small_disk(tmp_path / f"disk-{i}", mib=64) as disk:
            run_dir, ballast = disk / "run", disk / "ballast"
            count = chosen.randint(1, 20)
            filling = Trigger("micro-batch", "fill", count=count, ballast=str(ballast))
            ending = server.run(task.finetune(run_dir), triggers=[filling])
            problems = _problems_of_full(ending, run_dir)
            ballast.unlink()
            again = server.run(task.finetune(run_dir))
            problems += _problems_of_end(again, run_dir, reference)
            full.count(f"micro-batch {count}", problems)
    full.require_all()


def test_a_disk_that_is_too_small_is_told_before_the_first_step(
    server: ForkServer, task: Task, tmp_path: Path
) -> None:
    with _small_disk(tmp_path / "disk", mib=1) as disk:
        (disk / "ballast").write_bytes(bytes(2**20 - 2**17))
        ending = server.run(task.finetune(disk / "run"))
        assert ending.exit_code == EXIT_RESOURCES, ending.text
        assert "bytes" in ending.text
        assert str(disk / "run") in ending.text
        assert "step 1/" not in ending.text
        assert not list((disk / "run").glob("checkpoints/*"))


@counts(quick=2, full=ALL)
@pytest.mark.parametrize("error", ["ENOSPC", "EDQUOT", "EIO"])
def test_a_write_that_fails_once_costs_no_more_than_running_the_command_again(
    server: ForkServer, task: Task, reference: Reference, tmp_path: Path, error: str, n: int
) -> None:
    require_strace()
    failed = open_tally(f"F6 {error} in one write")
    trace, options = tmp_path / "trace.txt", ("-e", "trace=write,pwrite64,writev,openat")
    _, calls = run_traced(server, task.finetune(tmp_path / "traced"), trace, *options)
    writes = [call for call in calls_below(tmp_path / "traced", calls) if call.name == "write"]
    chosen = random.Random(error).sample(writes, min(n, len(writes)))
    for i, call in enumerate(chosen):
        run_dir = tmp_path / f"r{i:05d}"
        inject = ("-e", f"inject=write:error={error}:when={call.count}")
        ending, _ = run_traced(server, task.finetune(run_dir), trace, *options, *inject)
        problems = [] if ending.exit_code in (0, EXIT_RESOURCES) else [_told(ending)]
        problems += [f"{path.name} was left" for path in find_remains(run_dir)]
        again = server.run(task.finetune(run_dir))
        problems += _problems_of_end(again, run_dir, reference)
        failed.count(f"write {call.count} {call.arguments[:120]}", problems)
    failed.require_all()


def test_a_limit_on_the_size_of_files_ends_the_run_and_can_be_cured(
    server: ForkServer, task: Task, reference: Reference, tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    weights = reference.run_dir / "adapter_model.safetensors"
    too_small = weights.stat().st_size - 1
    ending = server.run(task.finetune(run_dir), largest_file_bytes=too_small)
    assert ending.exit_code == EXIT_RESOURCES, ending.text
    assert find_remains(run_dir) == []
    again = server.run(task.finetune(run_dir))
    assert _problems_of_end(again, run_dir, reference) == []


def test_a_read_only_folder_is_told_as_one(server: ForkServer, task: Task, tmp_path: Path) -> None:
    with _small_disk(tmp_path / "disk", mib=1, options=",ro") as disk:
        ending = server.run(task.finetune(disk / "run"))
    assert ending.exit_code == 2, ending.text
    assert "Read-only" in ending.text
    assert str(disk) in ending.text


def _problems_of_full(ending: Ending, run_dir: Path) -> list[str]:
    problems = [] if ending.exit_code == EXIT_RESOURCES else [_told(ending)]
    if str(run_dir) not in ending.text:
        problems.append(f"the path is not named: {ending.text[-300:]}")
    return problems + [f"{path.name} was left" for path in find_remains(run_dir)]


def _problems_of_end(ending: Ending, run_dir: Path, reference: Reference) -> list[str]:
    if ending.exit_code:
        return [f"again: {_told(ending)}"]
    return find_differences(run_dir, reference.leftovers)


def _told(ending: Ending) -> str:
    return f"exit {ending.exit_code}: {ending.text[-300:]}"


@contextmanager
def _small_disk(folder: Path, *, mib: int, options: str = "") -> Iterator[Path]:
    folder.mkdir()
    with ExitStack() as stack:
        try:
            disk = stack.enter_context(small_disk(folder, mib=mib, options=options))
        except RuntimeError as error:
            pytest.skip(str(error))
        yield disk
