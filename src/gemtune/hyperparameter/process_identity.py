"""Who works on something, in a way that shows whether that process still lives."""

import os
import secrets
from pathlib import Path

_PROC = Path("/proc")
_SEPARATOR = "/"
_AFTER_NAME = ")"
_STATE_FIELD, _START_FIELD = 0, 19


def new_identity() -> str:
    """An identity for one worker of this process."""
    return _SEPARATOR.join([_place(), str(os.getpid()), _start(os.getpid()), secrets.token_hex(6)])


def is_gone(identity: str) -> bool:
    """Whether the process of an identity has certainly ended; unknown for other machines."""
    place, pid, start, _ = identity.split(_SEPARATOR)
    return bool(place) and place == _place() and _start(int(pid)) != start


def _place() -> str:
    """This start of this machine, and the numbering of its processes; empty if it cannot tell."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}.{(_PROC / 'self/ns/pid').readlink().name}"
    except OSError:
        return ""


def _start(pid: int) -> str:
    """When a process began, in ticks of the kernel; empty if there is none that lives."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = text.rpartition(_AFTER_NAME)[2].split()
    return "" if fields[_STATE_FIELD] in "ZX" else fields[_START_FIELD]
