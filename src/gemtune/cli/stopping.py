"""The frame around a process that runs one command: signals, from the first line to the last."""

import os
import shlex
import sys
from contextlib import suppress

from gemtune.cli.out_of_memory import out_of_memory_error
from gemtune.cli.streams import open_closed_streams
from gemtune.redaction import redact

# Every command needs this one, and it needs the standard library only.
from gemtune.runs.signals import (  # noqa: TID253
    StopSignal,
    accept_stop,
    ignore_stop_signals,
    raise_if_stopped,
    stop_on_signals,
)

EXIT_PREEMPTED = 75
EXIT_INTERRUPTED = 130


def run_stoppable() -> int:
    """Run the command of this process; returns its exit code.

    A command that was stopped ends the process here: threads of libraries, such as downloads,
    would be waited for otherwise.
    """
    open_closed_streams()
    try:
        with stop_on_signals():
            code = _run_command()
            if code in (EXIT_PREEMPTED, EXIT_INTERRUPTED):
                _leave(code)
            return code
    except Exception as error:
        # Memory may be too short for the frame, or for what would say so otherwise.
        told = out_of_memory_error(error)
        if told is None:
            raise
        sys.stderr.write(f"error: {told}\nfix: {told.fix}\n")
        return told.exit_code


def _run_command() -> int:
    try:
        # Only now, so that a signal that comes while click is imported finds its handler.
        from gemtune.cli.app import run  # noqa: PLC0415

        code = run()
        if code not in (0, EXIT_PREEMPTED, EXIT_INTERRUPTED):
            # On its way a stop can turn into another error, such as that of a pipe that ends too.
            raise_if_stopped()
        ignore_stop_signals()
    except KeyboardInterrupt as stop:
        code = report_stop(stop)
    return code


def report_stop(error: KeyboardInterrupt) -> int:
    """Say what stopped the command, what is safe and what to type next; returns the exit code."""
    accept_stop()
    is_ctrl_c = not isinstance(error, StopSignal) or str(error) == "SIGINT"
    what = "interrupted" if is_ctrl_c else f"stopped by {error}"
    # Ctrl-C stops the reader of a pipe too; that changes nothing of how this process ends.
    with suppress(OSError):
        sys.stderr.write(f"{what}; what was finished is kept, and no file is half-written\n")
        sys.stderr.write(f"next: {_next_command(sys.argv[1:])}\n")
    return EXIT_INTERRUPTED if is_ctrl_c else EXIT_PREEMPTED


def _next_command(words: list[str]) -> str:
    again = f"run the same command again: {redact(shlex.join(['gemtune', *words]))}"
    if "finetune" in words and "--overwrite" in words:
        return f"{again} (without --overwrite it goes on where this run stopped)"
    return again


def _leave(code: int) -> None:
    # Nobody may be reading any more.
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
