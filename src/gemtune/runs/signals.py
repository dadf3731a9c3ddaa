"""SIGTERM and Ctrl-C as an exception in the main thread, delayed while state must not tear."""

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

from gemtune.runs.signal_watch import watch_signals

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

# Longer than any clean-up takes, and well below the limit of the watch.
_REMIND_SECONDS = 5.0
_SOON_SECONDS = 0.01

# What `signal.getsignal` returns.
_Handler = Callable[[int, FrameType | None], Any] | int | None


class StopSignal(KeyboardInterrupt):
    """The process was asked to stop; `stop_on_signals` raises it in the main thread."""

    def __init__(self, signum: int) -> None:
        """Keep which signal it was: SIGTERM or SIGINT."""
        super().__init__(signum)
        self.signum = signum

    def __str__(self) -> str:
        """Name the signal."""
        return signal.Signals(self.signum).name


class _State:
    """What came so far; handlers belong to a process, so this does too."""

    # No dataclass: importing those takes longer than all that comes before the first handler.

    stopped_by: int | None = None
    """The signal that was raised as a StopSignal."""
    delayed: int | None = None
    """The first signal that came during `uninterrupted`."""
    came_at: float | None = None
    """When the first signal came, by the monotonic clock."""
    is_shielded: bool = False


_state = _State()


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """Raise StopSignal in the block at the first SIGTERM or SIGINT.

    A second one ends the process at once with 128 + its number, and so does a block that goes on
    for 24 seconds after the first. A StopSignal that got lost (a `__del__`, a bare `except`) is
    raised again. Signals that the parent process had ignored stay ignored. For processes that are
    gemtune's own; outside the main thread it does nothing.
    """
    taken = _taken_handlers()
    if not taken:
        yield
        return
    handlers = {**dict.fromkeys(taken, _raise_stop), signal.SIGALRM: _remind}
    with watch_signals(taken), _swallowed_raised_again(), _handling(handlers):
        try:
            yield
        finally:
            accept_stop()
            _state.stopped_by = _state.came_at = None


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Delay SIGTERM and SIGINT to the end of the block; nested blocks are one.

    Then they do what they would have done before: raise StopSignal inside `stop_on_signals`, raise
    KeyboardInterrupt in other programs. Outside the main thread, where signals never strike, it
    does nothing.
    """
    previous = _taken_handlers()
    if _state.is_shielded or not previous:
        yield
        return

    def delay(signum: int, frame: FrameType | None) -> None:
        if _state.is_shielded:
            _state.delayed = _state.delayed or signum
            _note_arrival()
        else:
            # It came between the end of the block and the return of the old handler.
            _hand_on(previous[signum], signum, frame)

    _state.delayed = None
    if _state.stopped_by is None:
        _state.came_at = None
    try:
        _state.is_shielded = True
        for signum in previous:
            signal.signal(signum, delay)
        yield
    finally:
        _state.is_shielded = False
        for signum, handler in previous.items():
            signal.signal(signum, handler)
        if _state.delayed:
            _hand_on(previous[_state.delayed], _state.delayed, None)


def raise_if_stopped() -> None:
    """Raise the StopSignal again that came before and was swallowed, if there is one.

    Raises:
        StopSignal: a signal came inside `stop_on_signals`.
    """
    if _state.stopped_by and not _state.is_shielded:
        raise StopSignal(_state.stopped_by)


def stop_age_seconds() -> float | None:
    """How long ago the process was asked to stop; None if it was not.

    Inside `uninterrupted` it tells of a signal that is delayed.
    """
    return None if _state.came_at is None else time.monotonic() - _state.came_at


def accept_stop() -> None:
    """Say that the StopSignal has arrived where it is answered, so that it is not repeated."""
    signal.setitimer(signal.ITIMER_REAL, 0)


def ignore_stop_signals() -> None:
    """Let the process end with the exit code that it has reached, whatever comes now."""
    for signum in _taken_handlers():
        signal.signal(signum, signal.SIG_IGN)


def _taken_handlers() -> dict[int, _Handler]:
    """The handlers of the stop signals, without those that are ignored or not Python's."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    handlers = {int(signum): signal.getsignal(signum) for signum in STOP_SIGNALS}
    return {n: handler for n, handler in handlers.items() if handler not in (signal.SIG_IGN, None)}


def _raise_stop(signum: int, frame: FrameType | None) -> None:
    # The second one is the business of the watch, also while this thread is inside C code.
    if _state.stopped_by is None:
        _state.stopped_by = signum
        _note_arrival()
        signal.setitimer(signal.ITIMER_REAL, _REMIND_SECONDS, _REMIND_SECONDS)
        raise StopSignal(signum)


def _note_arrival() -> None:
    if _state.came_at is None:
        _state.came_at = time.monotonic()


def _remind(signum: int, frame: FrameType | None) -> None:
    raise_if_stopped()


def _hand_on(handler: _Handler, signum: int, frame: FrameType | None) -> None:
    if callable(handler):
        handler(signum, frame)
    else:
        signal.raise_signal(signum)


@contextmanager
def _handling(handlers: Mapping[int, _Handler]) -> Iterator[None]:
    previous = {signum: signal.getsignal(signum) for signum in handlers}
    try:
        for signum, handler in handlers.items():
            signal.signal(signum, handler)
        yield
    finally:
        for signum, handler in previous.items():
            # One that was set in the block, such as by `ignore_stop_signals`, is wanted.
            if signal.getsignal(signum) is handlers[signum]:
                signal.signal(signum, handler)


@contextmanager
def _swallowed_raised_again() -> Iterator[None]:
    """Repeat a StopSignal that struck where Python can only print it, such as in a `__del__`."""
    previous = sys.unraisablehook

    def notice(found: "sys.UnraisableHookArgs") -> None:
        if issubclass(found.exc_type, StopSignal):
            signal.setitimer(signal.ITIMER_REAL, _SOON_SECONDS, _REMIND_SECONDS)
        else:
            previous(found)

    sys.unraisablehook = notice
    try:
        yield
    finally:
        sys.unraisablehook = previous
