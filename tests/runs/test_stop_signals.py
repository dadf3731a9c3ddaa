"""Signals as exceptions: once, in the main thread, not where state must not tear."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
import torch

from gemtune.runs.signals import StopSignal, raise_if_stopped, stop_on_signals, uninterrupted

TERM, INT = signal.SIGTERM, signal.SIGINT
STOPS = pytest.mark.parametrize("signum", [TERM, INT], ids=["SIGTERM", "SIGINT"])

# A call into C that gives other threads room and sees no signal until it returns, and one signal
# that comes from outside while it lasts.
DEAF = """
import hashlib, os, signal, subprocess, sys
from gemtune.runs import signal_watch
from gemtune.runs.signals import StopSignal, stop_on_signals
def send(*, after, number=signal.{name}):
    code = f"import os, time; time.sleep({{after}}); os.kill({{os.getpid()}}, {{int(number)}})"
    subprocess.Popen([sys.executable, "-c", code])
def stay_in_c():
    hashlib.pbkdf2_hmac("sha256", b"", b"", 10_000_000)
"""


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Python's own handlers before each test, and no trace of signals after it."""
    before = {signum: signal.getsignal(signum) for signum in (TERM, INT, signal.SIGALRM)}
    signal.signal(INT, signal.default_int_handler)
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def run_deaf(code: str, name: str = "SIGTERM") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", DEAF.format(name=name) + code], capture_output=True, text=True,
        check=False, timeout=60, env={**os.environ, "PYTHONPATH": "src"},
    )  # fmt: skip


@STOPS
def test_a_signal_is_an_exception_that_knows_its_number(signum: int) -> None:
    with pytest.raises(StopSignal) as stop, stop_on_signals():
        signal.raise_signal(signum)
    assert stop.value.signum == signum
    assert str(stop.value) == signal.Signals(signum).name


def test_the_handlers_of_before_come_back() -> None:
    before = signal.getsignal(TERM), signal.getsignal(INT), sys.unraisablehook
    with suppress(StopSignal), stop_on_signals():
        signal.raise_signal(TERM)
    assert (signal.getsignal(TERM), signal.getsignal(INT), sys.unraisablehook) == before
    with stop_on_signals():
        raise_if_stopped()


def test_a_stop_signal_crosses_process_borders() -> None:
    assert pickle.loads(pickle.dumps(StopSignal(TERM))).signum == TERM


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    signal.signal(INT, signal.SIG_IGN)
    with stop_on_signals(), uninterrupted():
        assert signal.getsignal(INT) is signal.SIG_IGN
        signal.raise_signal(INT)
    assert signal.getsignal(INT) is signal.SIG_IGN


def test_signals_that_come_together_are_one() -> None:
    with pytest.raises(StopSignal), stop_on_signals():
        try:
            signal.raise_signal(TERM)
        finally:
            signal.raise_signal(TERM)
            # Time for the watch to end the process, if it took them for two.
            time.sleep(0.3)


@STOPS
def test_a_signal_waits_for_the_end_of_an_uninterrupted_block(signum: int) -> None:
    done = []
    with pytest.raises(StopSignal) as stop, stop_on_signals():
        with uninterrupted():
            signal.raise_signal(signum)
            raise_if_stopped()
            done.append("inside")
        done.append("after")
    assert done == ["inside"]
    assert stop.value.signum == signum


def test_nested_uninterrupted_blocks_are_one() -> None:
    done = []
    with pytest.raises(StopSignal), stop_on_signals(), uninterrupted():
        with uninterrupted():
            signal.raise_signal(TERM)
        done.append("between")
    assert done == ["between"]


def test_an_uninterrupted_block_that_follows_another_is_its_own() -> None:
    with suppress(KeyboardInterrupt), uninterrupted():
        signal.raise_signal(INT)
    with uninterrupted():
        pass


def test_ctrl_c_in_other_programs_waits_too() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt) as interrupt:
        with uninterrupted():
            signal.raise_signal(INT)
            signal.raise_signal(INT)
            done.append("inside")
        done.append("after")
    assert done == ["inside"]
    assert not isinstance(interrupt.value, StopSignal)
    assert signal.getsignal(INT) is signal.default_int_handler


def test_the_handler_of_another_program_gets_its_signal_after_the_block() -> None:
    seen: list[int] = []
    signal.signal(TERM, lambda signum, frame: seen.append(signum))
    with uninterrupted():
        signal.raise_signal(TERM)
        assert seen == []
    assert seen == [TERM]


def test_other_threads_leave_signals_alone() -> None:
    seen: list[object] = []

    def work() -> None:
        with stop_on_signals(), uninterrupted():
            seen.extend(signal.getsignal(signum) for signum in (TERM, INT))

    before = [signal.getsignal(signum) for signum in (TERM, INT)]
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == before


def test_a_stop_that_a_finalizer_swallowed_is_raised_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Dying:
        def __del__(self) -> None:
            signal.raise_signal(TERM)

    started = time.monotonic()
    with pytest.raises(StopSignal), stop_on_signals():
        Dying()
        time.sleep(30)
    assert time.monotonic() - started < 3
    assert capsys.readouterr().err == ""


def test_a_stop_that_a_library_swallowed_is_raised_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gemtune.runs.signals._REMIND_SECONDS", 0.2)
    with pytest.raises(StopSignal), stop_on_signals():
        with suppress(BaseException):
            signal.raise_signal(TERM)
        time.sleep(30)


def test_a_poll_raises_what_a_library_swallowed() -> None:
    with stop_on_signals():
        raise_if_stopped()
        with suppress(BaseException):
            signal.raise_signal(TERM)
        with uninterrupted():
            raise_if_stopped()
        with pytest.raises(StopSignal):
            raise_if_stopped()


def test_a_stop_passes_through_the_backward_pass() -> None:
    x = torch.ones(1, requires_grad=True)
    y = x * 2
    y.register_hook(lambda gradient: signal.raise_signal(TERM))
    with pytest.raises(StopSignal), stop_on_signals():
        y.sum().backward()


@pytest.mark.parametrize(
    ("own_handler", "code"),
    [("pass", -signal.SIGTERM), ("signal.signal(signal.SIGTERM, lambda *_: os._exit(7))", 7)],
    ids=["without a handler", "with a handler of its own"],
)
def test_a_forked_helper_ends_by_its_signal_and_its_parent_goes_on(
    own_handler: str, code: int
) -> None:
    process = run_deaf(f"""
signal_watch.LIMIT_SECONDS = 0.2
with stop_on_signals():
    started, ready = os.pipe()
    helper = os.fork()
    if not helper:
        {own_handler}
        os.write(ready, b"1")
        signal.pause()
    os.read(started, 1)
    os.kill(helper, signal.SIGTERM)
    status = os.waitpid(helper, 0)[1]
    signal_watch.time.sleep(0.5)
print(os.waitstatus_to_exitcode(status))
""")
    assert (process.returncode, process.stderr) == (0, "")
    assert int(process.stdout) == code


def test_a_signal_to_a_helper_that_was_forked_just_now_is_not_told_to_its_parent() -> None:
    process = run_deaf("""
signal_watch.LIMIT_SECONDS = 0.2
with stop_on_signals():
    for _ in range(20):
        helper = os.fork()
        if not helper:
            signal.pause()
        os.kill(helper, signal.SIGTERM)
        os.waitpid(helper, 0)
    signal_watch.time.sleep(0.5)
""")
    assert (process.returncode, process.stderr) == (0, "")


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_second_signal_ends_the_process_even_inside_c_code(name: str, code: int) -> None:
    process = run_deaf("""
send(after=0.1)
send(after=0.5)
with stop_on_signals():
    stay_in_c()
""", name)  # fmt: skip
    assert process.returncode == code
    error, fix = process.stderr.split("\n")[-3:-1]
    assert error == f"error: ended at once by {name}: that was the second signal"
    assert fix.startswith("fix: run the same command again")


def test_a_process_that_does_not_follow_the_signal_in_time_is_ended() -> None:
    process = run_deaf("""
signal_watch.LIMIT_SECONDS = 0.3
send(after=0.1)
with stop_on_signals():
    stay_in_c()
""")
    assert process.returncode == 143
    assert "it did not come to an end within" in process.stderr
