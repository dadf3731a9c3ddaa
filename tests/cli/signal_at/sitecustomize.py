"""Sends a process that has this folder in PYTHONPATH a signal when it reaches a chosen point.

`SIGNAL_AT` is an audit event of Python and a part of its first argument ("import torch", "open
train.jsonl"), with `#2` at the end for the second such event. `SIGNAL_NAME` is the signal.
"""

import os
import signal
import sys
from contextlib import suppress


def _plant(event: str, word: str, count: int, signum: int) -> None:
    n_seen = 0

    def see(name: str, arguments: tuple[object, ...]) -> None:
        nonlocal n_seen
        if name == event and _holds(arguments[0], word):
            n_seen += 1
            if n_seen == count:
                os.kill(os.getpid(), signum)

    sys.addaudithook(see)


def _holds(argument: object, word: str) -> bool:
    with suppress(TypeError):
        return word in os.fsdecode(argument)  # pyrefly: ignore[bad-argument-type]
    return False


_point, _, _count = os.environ["SIGNAL_AT"].partition("#")
_event, _, _word = _point.partition(" ")
_plant(_event, _word, int(_count or 1), signal.Signals[os.environ["SIGNAL_NAME"]])
