"""F4: files of the newest checkpoint are damaged; the one before is used, and it is said."""

import itertools
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from faults.attempts import ForkServer
from faults.choosing import spread
from faults.damage import DAMAGES
from faults.finished_runs import find_differences, read_record
from faults.tally import ALL, counts, open_tally
from faults.tasks import Reference, Task
from faults.triggers import Trigger

from gemtune.runs.checkpoints import newest_checkpoint


@pytest.fixture(scope="session")
def killed_run(server: ForkServer, task: Task, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was killed when it had several checkpoints."""
    run_dir = tmp_path_factory.mktemp("killed") / "run"
    # Two micro-batches or more a step: somewhere in step 12.
    trigger = Trigger("open", "kill", path="/checkpoints/.tmp-00000012")
    ending = server.run(task.finetune(run_dir), triggers=[trigger])
    assert ending.exit_code == -9, ending.text
    assert len(_steps(run_dir)) >= 2
    return run_dir


@counts(quick=9, full=ALL)
def test_a_damaged_checkpoint_is_put_aside_and_the_run_ends_with_the_same_bytes(
    server: ForkServer, task: Task, reference: Reference, killed_run: Path, tmp_path: Path, n: int
) -> None:
    damages = open_tally("F4 damaged file in the newest checkpoint, told, run bitwise equal")
    chosen = random.Random(n)
    names = sorted(path.name for path in _steps(killed_run)[-1].iterdir())
    cases = list(itertools.product(names, [*DAMAGES, "add"]))
    cases += [(name, "swap") for name in names if _changes(killed_run, name)]
    for i, (name, kind) in enumerate(spread(cases, n)):
        run_dir = tmp_path / f"run-{i}"
        shutil.copytree(killed_run, run_dir)
        newest = _steps(run_dir)[-1]
        _damage(run_dir, name, kind, chosen)
        ending = server.run(task.finetune(run_dir))
        told = newest.name in ending.text and "damaged" in ending.text
        problems = [] if told else ["the log does not tell"]
        if newest.name not in str(read_record(run_dir)):
            problems.append("run.json does not tell")
        if ending.exit_code:
            problems.append(f"exit {ending.exit_code}: {ending.text[-300:]}")
        else:
            problems += find_differences(run_dir, reference.leftovers)
        damages.count(f"{kind} {name}", problems)
    damages.require_all()


@counts(quick=100, full=1000)
def test_every_flipped_bit_of_a_checkpoint_is_found(
    killed_run: Path, tmp_path: Path, n: int
) -> None:
    flips = open_tally("F4 flipped bit in the newest checkpoint, found")
    root = tmp_path / "checkpoints"
    shutil.copytree(killed_run / "checkpoints", root)
    *_, before, newest = _steps(killed_run)
    chosen = random.Random(n)
    for _ in range(n):
        names = sorted(path.name for path in (root / newest.name).iterdir())
        path = root / newest.name / chosen.choice(names)
        whole = path.read_bytes()
        DAMAGES["flip a bit"](path, chosen)
        found, told = newest_checkpoint(root)
        flips.count(path.name, [] if found and found.folder.name == before.name and told else ["?"])
        (aside,) = root.glob(".bad-*")
        aside.rename(root / newest.name)
        path.write_bytes(whole)
    flips.require_all()


def test_a_run_whose_checkpoints_are_all_damaged_is_not_started_over_unasked(
    server: ForkServer, task: Task, reference: Reference, killed_run: Path, tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    shutil.copytree(killed_run, run_dir)
    for folder in _steps(run_dir):
        (folder / "state.json").write_bytes(b"")
    for _ in range(2):
        refused = server.run(task.finetune(run_dir))
        assert refused.exit_code == 4, refused.text
        assert "--overwrite" in refused.text
    again = server.run(task.finetune(run_dir, "--overwrite"))
    assert again.exit_code == 0, again.text
    assert find_differences(run_dir, reference.leftovers) == []


def _steps(run_dir: Path) -> list[Path]:
    return sorted((run_dir / "checkpoints").glob("step-*"))


def _damage(run_dir: Path, name: str, kind: str, chosen: random.Random) -> None:
    *_, before, newest = _steps(run_dir)
    other: dict[str, Callable[[], object]] = {
        "swap": lambda: shutil.copyfile(before / name, newest / name),
        "add": lambda: shutil.copyfile(before / name, newest / f"other-{name}"),
    }
    if kind in other:
        other[kind]()
    else:
        DAMAGES[kind](newest / name, chosen)


def _changes(run_dir: Path, name: str) -> bool:
    *_, before, newest = _steps(run_dir)
    return (before / name).read_bytes() != (newest / name).read_bytes()
