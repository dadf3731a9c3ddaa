"""What a run asks of the kernel, and faults at a chosen call, by strace.

A forked child stops itself before the command starts; strace is attached there, so its counts
begin at the same place in every attempt.
"""

import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from faults.attempts import Attempt, Ending, ForkServer

CHANGING = (
    "openat,open,creat,write,pwrite64,writev,rename,renameat,renameat2,mkdir,mkdirat,unlink,"
    "unlinkat,rmdir,fsync,fdatasync,ftruncate,copy_file_range,sendfile,chmod,fchmod,fchmodat"
)
_CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+)(.*)")


@dataclass(frozen=True, slots=True)
class Call:
    """One call to the kernel."""

    name: str
    count: int
    """It is the how-manieth of this name, from 1."""
    arguments: str
    result: int
    result_path: str
    """Of a call that opened something: what, as strace shows it."""


def require_strace() -> None:
    """Skip the test where nobody may trace."""
    if missing := why_no_strace():
        pytest.skip(missing)


def why_no_strace() -> str:
    """What is missing; empty when strace works."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    probe = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, text=True)
    return f"strace may not trace: {probe.stderr.strip()}" if probe.returncode else ""


def attach(attempt: Attempt, trace: Path, *options: str) -> subprocess.Popen[str]:
    """Trace a child that waits for it, and let it go on."""
    attempt.wait_until_stopped()
    words = ["strace", "-y", "-o", str(trace), *options, "-p", str(attempt.pid)]
    tracer = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    assert tracer.stderr
    while "attached" not in (line := tracer.stderr.readline()):
        assert line, "strace ended without attaching"
    attempt.send(signal.SIGCONT)
    return tracer


def run_traced(
    server: ForkServer,
    arguments: list[str],
    trace: Path,
    *options: str,
    program: str = "gemtune.cli:main",
) -> tuple[Ending, list[Call]]:
    """Run an attempt under strace with more options of it."""
    attempt = server.start(arguments, wait_for_tracer=True, program=program)
    with attach(attempt, trace, *options) as tracer:
        ending = attempt.wait()
        # Its output would otherwise be waited for with a full pipe.
        tracer.communicate()
    return ending, read_calls(trace)


def read_calls(trace: Path) -> list[Call]:
    """Every finished call of a trace, in order."""
    counts: Counter[str] = Counter()
    calls = []
    for line in trace.read_text(encoding="ascii", errors="replace").splitlines():
        match = _CALL.fullmatch(line)
        if match is None:
            continue
        counts[match[1]] += 1
        path = match[4].partition("<")[2].rpartition(">")[0]
        calls.append(Call(match[1], counts[match[1]], match[2], int(match[3]), path))
    return calls


def calls_below(folder: Path, calls: Sequence[Call]) -> list[Call]:
    """Those that change something in a folder."""
    return [call for call in calls if _is_below(folder, call)]


def _is_below(folder: Path, call: Call) -> bool:
    if call.name in ("open", "openat") and not re.search("O_WRONLY|O_RDWR|O_CREAT", call.arguments):
        return False
    return str(folder) in call.arguments or str(folder) in call.result_path
