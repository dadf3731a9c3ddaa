"""Starting attempts in children of a fork server, killing them, and how they ended."""

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from faults.child import Order

ROOT = Path(__file__).resolve().parents[2]
LONGEST_ATTEMPT_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended."""

    exit_code: int
    """Negative: the signal that ended it."""
    text: str
    """Stdout and stderr."""
    seconds: float
    peak_memory_mib: float


def python_environment(search: Path | None = None) -> dict[str, str]:
    """The environment of a child: one thread, no network, modules of this checkout and `search`."""
    folders = [ROOT / "src", ROOT / "tests", *([search] if search else [])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, folders)),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }


class ForkServer:
    """Runs one attempt at a time."""

    def __init__(self, logs: Path, *modules: str, search: Path | None = None) -> None:
        """Start the server, let it import `modules` (found in `search`) too, and wait for it."""
        self._logs = logs
        self._numbers = itertools.count()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "faults.fork_server", *modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=python_environment(search),
            text=True,
            bufsize=1,
        )
        assert self._answer() == "ready"

    def close(self) -> None:
        """End the server; an attempt that still runs ends first."""
        with self._process:
            assert self._process.stdin
            self._process.stdin.close()

    def start(self, arguments: list[str], **settings: Any) -> "Attempt":
        """Begin an attempt; `settings` are fields of `Order`."""
        log = self._logs / f"attempt-{next(self._numbers)}.txt"
        order = replace(Order(arguments, str(log)), **settings)
        assert self._process.stdin
        self._process.stdin.write(order.to_json() + "\n")
        planned = order.fuzz.seconds if order.fuzz else 0.0
        longest = planned + LONGEST_ATTEMPT_SECONDS
        return Attempt(self, json.loads(self._answer())["pid"], log, longest)

    def run(self, arguments: list[str], **settings: Any) -> Ending:
        """Run an attempt to its end."""
        return self.start(arguments, **settings).wait()

    def ending(self) -> Mapping[str, float]:
        """Wait for the end of the attempt that runs."""
        return json.loads(self._answer())

    def _answer(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, "the fork server died"
        return line.strip()


@dataclass(frozen=True, slots=True)
class Attempt:
    """A child that runs."""

    server: ForkServer
    pid: int
    log: Path
    longest_seconds: float
    """One that takes longer hangs."""

    def wait(self) -> Ending:
        """Wait for its end; one that hangs is killed."""
        with self._limited():
            told = self.server.ending()
        return Ending(
            exit_code=int(told["exit_code"]),
            text=self.log.read_text(encoding="utf-8", errors="replace")
            if self.log.exists()
            else "",
            seconds=told["seconds"],
            peak_memory_mib=told["peak_memory_mib"],
        )

    def kill_after(self, seconds: float, signum: int = signal.SIGKILL) -> Ending:
        """Send a signal `seconds` after the start; an attempt that was faster just ends."""
        timer = threading.Timer(seconds, self.send, [signum])
        timer.start()
        ending = self.wait()
        timer.cancel()
        timer.join()
        return ending

    def send(self, signum: int) -> None:
        """Send a signal; the process id is not reused while the server has not been asked again."""
        try:
            os.kill(self.pid, signum)
        except ProcessLookupError:
            return

    def wait_until_stopped(self) -> None:
        """Return when the child has stopped itself and waits for a tracer."""
        status = Path(f"/proc/{self.pid}/stat")
        while status.read_text(encoding="ascii").rpartition(")")[2].split()[0] not in "Tt":
            time.sleep(0.002)

    @contextmanager
    def _limited(self) -> Iterator[None]:
        timer = threading.Timer(self.longest_seconds, self.send, [signal.SIGKILL])
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
