"""One writer for a folder, across processes of one machine."""

import errno
import fcntl
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from gemtune.errors import RunLockedError, UsageError
from gemtune.redaction import redact

# What network disks without locks answer.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
    """Hold `path` while the block runs and write into it who holds it.

    The operating system gives the lock back when the process ends, however it ends, so a stale file
    never blocks anybody.

    Raises:
        RunLockedError: another process holds it; the message names that process.
        UsageError: the disk has no locks.
    """
    with path.open("a+", encoding="utf-8") as file:
        try:
            _lock(path, file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _locked_error(path, file) from None
        file.truncate(0)
        json.dump(_holder(), file)
        file.flush()
        yield


@contextmanager
def waiting_lock(path: Path) -> Iterator[None]:
    """Hold `path` while the block runs; wait for another holder to finish.

    Raises:
        UsageError: the disk has no locks.
    """
    with path.open("a", encoding="utf-8") as file:
        _lock(path, file, fcntl.LOCK_EX)
        yield


def _lock(path: Path, file: IO[str], how: int) -> None:
    try:
        fcntl.flock(file, how)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        raise UsageError(
            f"{path.parent}: files cannot be locked on this disk: {error.strerror}",
            fix="choose a folder on a disk of this machine",
        ) from error


def _holder() -> dict[str, str | int]:
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "command": redact(" ".join([Path(sys.argv[0]).name, *sys.argv[1:]])),
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
    }


def _locked_error(path: Path, file: IO[str]) -> RunLockedError:
    file.seek(0)
    # The holder may be between taking the lock and writing its name.
    try:
        holder = json.loads(file.read())
        about = [holder[key] for key in ("pid", "host", "since", "command")]
    except (ValueError, TypeError, KeyError):
        about = ["?"] * 4
    pid, host, since, command = about
    return RunLockedError(
        f"{path.parent}: process {pid} on {host} works here since {since} ({command})",
        fix="wait for it to end, or choose another output folder",
    )
