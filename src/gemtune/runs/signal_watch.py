"""A thread that sees signals even while the main thread is inside a long call of C code."""

import os
import signal
import socket
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

# Platforms that take a machine away give 30 seconds.
LIMIT_SECONDS = 24.0
# `timeout` and other wrappers send the one signal to the process and to its group.
ECHO_SECONDS = 0.1

_SHOW_CURSOR = "\x1b[?25h"

_watched: set[int] = set()


@contextmanager
def watch_signals(stop_signals: Collection[int]) -> Iterator[None]:
    """End the process if its main thread does not follow a stop signal during the block.

    That is: at once with 128 + its number at a second signal, and 24 seconds after the first.
    Signals closer than 0.1 seconds count as one.

    Args:
        stop_signals: Numbers of signals that have a handler in Python.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    threading.Thread(
        target=_watch, args=(reader, stop_signals), name="gemtune-signals", daemon=True
    ).start()
    previous = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    _watched.update(stop_signals)
    try:
        yield
    finally:
        _watched.clear()
        signal.set_wakeup_fd(previous)
        writer.close()


def _watch(reader: socket.socket, stop_signals: Collection[int]) -> None:
    with reader:
        first = _next_signal(reader, stop_signals)
        came = time.monotonic()
        second = first
        try:
            while second and time.monotonic() < came + ECHO_SECONDS:
                second = _next_signal(reader, stop_signals, came + LIMIT_SECONDS)
        except TimeoutError:
            assert first is not None
            _end_process(first, f"it did not come to an end within {LIMIT_SECONDS:.0f} seconds")
        if second:
            _end_process(second, "that was the second signal")


def _next_signal(
    reader: socket.socket, stop_signals: Collection[int], deadline: float | None = None
) -> int | None:
    """Wait for one of the signals; None when the watch is over.

    Raises:
        TimeoutError: `deadline`, a time of the monotonic clock, has passed.
    """
    while True:
        if deadline is not None:
            reader.settimeout(max(0.001, deadline - time.monotonic()))
        number = reader.recv(1)
        if not number or number[0] in stop_signals:
            return number[0] if number else None


def _end_process(signum: int, why: str) -> NoReturn:
    # The main thread may hold the locks of sys.stderr, and a bar may have hidden the cursor.
    cursor = _SHOW_CURSOR if os.isatty(2) else ""
    name = signal.Signals(signum).name
    text = (
        f"{cursor}\nerror: ended at once by {name}: {why}\n"
        "fix: run the same command again; what was saved before is whole\n"
    )
    with suppress(OSError):
        os.write(2, text.encode())
    os._exit(128 + signum)


def _hold_signals() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, _watched)


def _release_signals() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _watched)


def _forget_in_child() -> None:
    """Let forked helpers die of signals, instead of telling them to the watch of the parent."""
    if _watched:
        signal.set_wakeup_fd(-1)
    for signum in _watched:
        signal.signal(signum, signal.SIG_DFL)
    _release_signals()


# Held, because a signal between the fork and the change of the handlers would be told too.
os.register_at_fork(
    before=_hold_signals, after_in_parent=_release_signals, after_in_child=_forget_in_child
)
