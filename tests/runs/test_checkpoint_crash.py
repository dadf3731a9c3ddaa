"""Killed before any call to the system, a save leaves the old state or the new one."""

import errno
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_checkpoint import commit_small, is_whole

from gemtune.runs.checkpoints import (
    keep_checkpoints,
    list_checkpoints,
    newest_checkpoint,
    was_ever_committed,
)

TESTS = Path(__file__).resolve().parents[1]
CALLS = ("mkdir", "open", "fsync", "chmod", "rename", "replace", "unlink", "rmdir", "scandir")
SAVE = """
import sys
from pathlib import Path
from small_checkpoint import commit_small
from gemtune.runs.checkpoints import keep_checkpoints
root = Path(sys.argv[1])
commit_small(root, 15)
keep_checkpoints(root, {10, 15})
"""


class Killed(BaseException):
    """The process is gone."""


def dies(act: Callable[[], object], at: int) -> bool:
    """Let a machine `act` that dies before its call `at` to the system, counted from 0.

    Returns:
        Whether it died; it does not where fewer calls are made.
    """
    n_calls = 0

    def guard(call: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*arguments: Any, **options: Any) -> Any:
            nonlocal n_calls
            # Once dead it does nothing any more: no tidying up either.
            if n_calls >= at:
                raise Killed
            n_calls += 1
            return call(*arguments, **options)

        return guarded

    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, guard(getattr(os, name)))
        try:
            act()
        except Killed:
            return True
    return False


def save(root: Path) -> None:
    commit_small(root, 15)
    keep_checkpoints(root, {10, 15})


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """Two checkpoints."""
    for step in (5, 10):
        commit_small(tmp_path / "before", step)
    return tmp_path / "before"


def require_old_or_new_state(root: Path) -> bool:
    """Start again in `root`; returns whether the interrupted save had come to its end."""
    found, told = newest_checkpoint(root)
    assert found is not None
    assert told == []
    assert found.step in (10, 15)
    assert all(is_whole(checkpoint) for checkpoint in list_checkpoints(root))
    assert not [path for path in root.iterdir() if path.name.startswith(".")]
    save(root)
    assert [checkpoint.step for checkpoint in list_checkpoints(root)] == [15, 10]
    return found.step == 15


def test_a_save_killed_before_any_call_leaves_the_old_state_or_the_new_one(
    before: Path, tmp_path: Path
) -> None:
    reached, died = [], True
    while died:
        root = shutil.copytree(before, tmp_path / f"killed-{len(reached)}")
        died = dies(lambda root=root: save(root), len(reached))
        reached.append(require_old_or_new_state(root))
    assert reached == sorted(reached)
    assert len(set(reached)) == 2
    assert len(reached) > 30


def test_the_first_save_killed_before_any_call_leaves_nothing_or_a_checkpoint(
    tmp_path: Path,
) -> None:
    reached, died = [], True
    while died:
        root = tmp_path / f"killed-{len(reached)}" / "checkpoints"
        root.parent.mkdir()
        died = dies(lambda root=root: commit_small(root, 5), len(reached))
        # Whoever asks whether there was one must not be told so before it was whole.
        was_there = was_ever_committed(root)
        found, told = newest_checkpoint(root)
        assert told == []
        assert (found is not None) == was_there
        reached.append(was_there)
    assert reached == sorted(reached)
    assert len(set(reached)) == 2


def test_a_start_killed_before_any_call_can_be_done_again(before: Path, tmp_path: Path) -> None:
    os.truncate(before / "step-00000010" / "state.json", 1)
    for name in (".tmp-00000015-1", ".del-step-00000001"):
        shutil.copytree(before / "step-00000005", before / name)
    n_starts, died = 0, True
    while died:
        root = shutil.copytree(before, tmp_path / f"killed-{n_starts}")
        died = dies(lambda root=root: newest_checkpoint(root), n_starts)
        found, _ = newest_checkpoint(root)
        assert found is not None
        assert is_whole(found)
        assert sorted(path.name for path in root.iterdir()) == [
            ".bad-step-00000010", "step-00000005",
        ]  # fmt: skip
        n_starts += 1
    assert n_starts > 20


@pytest.mark.parametrize("call", ["open", "mkdir", "fsync", "replace", "rename"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO], ids=os.strerror)
def test_a_disk_that_refuses_any_call_leaves_the_old_state_and_no_part(
    before: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    """The k-th call is refused, for every k; the others work, so that it can tidy up."""
    real, n_refused, done = getattr(os, call), 0, False
    while not done:
        n_left = n_refused

        def refusing(*arguments: Any, **options: Any) -> Any:
            nonlocal n_left
            n_left -= 1
            if n_left == -1:
                raise OSError(code, os.strerror(code))
            return real(*arguments, **options)

        monkeypatch.setattr(os, call, refusing)
        try:
            commit_small(before, 15)
            done = n_left >= 0
        except OSError as error:
            assert error.errno == code
        monkeypatch.setattr(os, call, real)
        whole = {c.step for c in list_checkpoints(before) if is_whole(c)}
        assert {path.name for path in before.iterdir()} == {f"step-{n:08d}" for n in whole}
        assert whole >= {5, 10}
        shutil.rmtree(before / "step-00000015", ignore_errors=True)
        n_refused += 1
    assert n_refused > 1


TRACED = "openat,mkdir,write,fsync,rename,unlinkat,rmdir,chmod,unlink"


def run_traced(root: Path, *options: str) -> list[str]:
    """What a process that saves asks the system, a line a call; `-y` shows paths of descriptors."""
    log = root.parent / "calls"
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(TESTS.parent / "src"), str(TESTS))),
        # Every run must make the same calls.
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
    }
    subprocess.run(
        ["strace", "-y", "-o", log, f"-etrace={TRACED}", *options,
         sys.executable, "-c", SAVE, root],
        env=env, timeout=120, check=False, capture_output=True,
    )  # fmt: skip
    return log.read_text(encoding="utf-8").splitlines()


def crash_points(root: Path) -> list[tuple[str, int]]:
    """The calls that concern `root`: their name, and how many of that name are made up to then."""
    counts: Counter[str] = Counter()
    points = []
    for line in run_traced(root):
        name = line.partition("(")[0]
        counts[name] += 1
        if str(root) in line and "-c" not in line:
            points.append((name, counts[name]))
    return points


def can_trace() -> bool:
    if not shutil.which("strace"):
        return False
    return not subprocess.run(["strace", "true"], capture_output=True, check=False).returncode


@pytest.mark.slow
@pytest.mark.skipif(not can_trace(), reason="needs strace and the right to trace (ptrace)")
def test_a_real_process_killed_by_the_system_before_any_call_leaves_old_or_new(
    before: Path, tmp_path: Path
) -> None:
    reached = []
    for name, n_calls in crash_points(shutil.copytree(before, tmp_path / "counted")):
        root = shutil.copytree(before, tmp_path / f"{name}-{n_calls}")
        log = run_traced(root, f"-einject={name}:signal=KILL:when={n_calls}")
        assert "killed by SIGKILL" in log[-1]
        reached.append(require_old_or_new_state(root))
        shutil.rmtree(root)
    assert reached == sorted(reached)
    assert len(reached) > 50
    assert len(set(reached)) == 2
