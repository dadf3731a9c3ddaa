"""One process a folder: the second is told who is there."""

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gemtune.errors import RunLockedError, UsageError
from gemtune.runs.lock import exclusive_lock

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import sys
from pathlib import Path
from gemtune.runs.lock import exclusive_lock
with exclusive_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def start_holder(lock: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lock)], text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_second_process_is_told_who_holds_the_folder(tmp_path: Path) -> None:
    lock = tmp_path / "run.lock"
    with start_holder(lock) as holder:
        with pytest.raises(RunLockedError) as caught, exclusive_lock(lock):
            pytest.fail("the lock was given twice")
        holder.communicate("")
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}: process {holder.pid} on {socket.gethostname()} works")
    assert caught.value.exit_code == 2
    assert "choose another output folder" in caught.value.fix


def test_a_killed_holder_blocks_nobody(tmp_path: Path) -> None:
    lock = tmp_path / "run.lock"
    with start_holder(lock) as holder:
        holder.kill()
        holder.wait(timeout=30)
        with exclusive_lock(lock):
            assert str(os.getpid()) in lock.read_text(encoding="utf-8")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_a_holder_that_cannot_be_read_is_still_a_holder(tmp_path: Path, text: str) -> None:
    lock = tmp_path / "run.lock"
    with exclusive_lock(lock):
        lock.write_text(text, encoding="utf-8")
        with pytest.raises(RunLockedError, match=r"process \? on \?"), exclusive_lock(lock):
            pytest.fail("the lock was given twice")


def test_a_disk_without_locks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(UsageError, match="cannot be locked"), exclusive_lock(tmp_path / "lock"):
        pytest.fail("a lock was given")


def test_the_lock_is_free_after_the_block(tmp_path: Path) -> None:
    for _ in range(2):
        with exclusive_lock(tmp_path / "run.lock"):
            pass
