"""One writer for a folder, across processes of one machine."""

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

from gemtune.errors import RunLockedError
from gemtune.redaction import redact


@contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
    """Hold `path` while the block runs and write into it who holds it.

    The operating system gives the lock back when the process ends, however it ends, so a stale file
    never blocks anybody.

    Raises:
        RunLockedError: another process holds it; the message names that process.
    """
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _locked_error(path, file) from None
        file.truncate(0)
        json.dump(_holder(), file)
        file.flush()
        yield


@contextmanager
def waiting_lock(path: Path) -> Iterator[None]:
    """Hold `path` while the block runs; wait for another holder to finish."""
    with path.open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _holder() -> dict[str, str | int]:
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "command": redact(" ".join([Path(sys.argv[0]).name, *sys.argv[1:]])),
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
    }


def _locked_error(path: Path, file: IO[str]) -> RunLockedError:
    file.seek(0)
    text = file.read()
    # The holder may be between taking the lock and writing its name.
    holder = json.loads(text) if text else {"pid": "?", "host": "?", "command": "?", "since": "?"}
    return RunLockedError(
        f"{path.parent}: process {holder['pid']} on {holder['host']} works here since "
        f"{holder['since']} ({holder['command']})",
        fix="wait for it to end, or choose another output folder",
    )
