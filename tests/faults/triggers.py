"""Faults planted at the border of a process: signals, full disks, NaN, a refusing allocator.

A trigger waits for the n-th event of its kind and then acts. Events are what the trainer does to
the outside: calls to the file system (seen by an audit hook) and to the model (seen by the global
hooks of torch). No code of gemtune is replaced, so triggers survive every change inside it.
"""

import errno
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_hooks

Event = Literal["open", "write", "micro-batch", "validation", "backward", "decode"]
"""`open`: a file is opened; `write`: a call that changes the disk; the others: in the model.

`micro-batch` and `backward` are of training, `validation` is a batch without gradients, `decode`
one with a token for each row that is being answered.
"""
Action = Literal[
    "kill", "terminate", "interrupt", "no space", "fill", "nan", "nan gradient", "oom", "pause"
]
"""`fill`: write to `ballast` until its disk is full; `no space`: this call fails."""

MAX_ANSWERED_AT_ONCE = 10
"""Test rows of the task; a single row of it has more tokens."""
# Signals that come within 0.1 s of each other are one.
PAUSE_SECONDS = 0.3

_CHANGING = {
    "os.rename",
    "os.mkdir",
    "os.remove",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.truncate",
}
_SIGNALS = {"kill": signal.SIGKILL, "terminate": signal.SIGTERM, "interrupt": signal.SIGINT}


@dataclass(frozen=True, slots=True)
class Trigger:
    """What happens, and when."""

    event: Event
    action: Action
    count: int = 1
    """At the how-manieth event, from 1."""
    path: str = ""
    """Only files whose path holds this."""
    above_tokens: int = 0
    """Only batches with more padded tokens than this."""
    repeat: bool = False
    """At every event from `count` on."""
    ballast: str = ""
    trace: str = ""
    """Instead of acting, append every event to this file."""


def plant(triggers: Sequence[Trigger]) -> None:
    """Arm the triggers in this process, for good."""
    armed = [_Armed(trigger) for trigger in triggers]
    on_disk = [one for one in armed if one.trigger.event in ("open", "write")]
    in_model = [one for one in armed if one not in on_disk]
    if on_disk:
        sys.addaudithook(lambda event, arguments: _see_call(on_disk, event, arguments))
    if in_model:
        torch_hooks.register_module_forward_hook(
            lambda module, inputs, output: _see_forward(in_model, module, inputs, output)
        )


class _Armed:
    """A trigger and what it has seen."""

    def __init__(self, trigger: Trigger) -> None:
        self.trigger = trigger
        self._n_seen = 0

    def is_due(self, what: str) -> bool:
        self._n_seen += 1
        if self.trigger.trace:
            with Path(self.trigger.trace).open("a", encoding="utf-8") as file:
                file.write(f"{what}\n")
            return False
        count = self.trigger.count
        return self._n_seen == count or (self.trigger.repeat and self._n_seen > count)


def _see_call(armed: Sequence[_Armed], event: str, arguments: tuple[Any, ...]) -> None:
    if event != "open" and event not in _CHANGING:
        return
    words = [os.fsdecode(part) for part in arguments if isinstance(part, str | bytes | os.PathLike)]
    flags = arguments[2] if event == "open" else os.O_WRONLY
    changes = event in _CHANGING or bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    for one in armed:
        trigger = one.trigger
        if trigger.trace and trigger.trace in words:
            continue
        if trigger.event == "write" and not changes:
            continue
        if any(trigger.path in word for word in words) and one.is_due(f"{event} {words}"):
            if trigger.action == "no space":
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), words[0])
            _act(trigger)


def _act(trigger: Trigger) -> None:
    if trigger.action in _SIGNALS:
        os.kill(os.getpid(), _SIGNALS[trigger.action])
    elif trigger.action == "pause":
        time.sleep(PAUSE_SECONDS)
    elif trigger.action == "fill":
        _fill(Path(trigger.ballast))
    elif trigger.action == "oom":
        # What torch says on a CPU when malloc returns nothing.
        raise RuntimeError(
            "[enforce fail at alloc_cpu.cpp:120] err == 0. DefaultCPUAllocator: can't allocate "
            "memory: you tried to allocate 1234567890 bytes. Error code 12 (Cannot allocate memory)"
        )


def _fill(ballast: Path) -> None:
    with ballast.open("ab", buffering=0) as file:
        for size in (4096, 1):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))


def _see_forward(
    armed: Sequence[_Armed], module: nn.Module, inputs: tuple[Any, ...], output: object
) -> Any:
    """The embedding sees each batch once, and first; gradients pass whatever came after it."""
    if isinstance(module, nn.Embedding) and inputs[0].dim() == 2:
        for one in armed:
            if one.trigger.event == _kind_of_batch(inputs[0]) and _is_above(one.trigger, inputs[0]):
                output = _change_batch(one, inputs[0], output)
    elif isinstance(output, Tensor) and output.requires_grad:
        _watch_gradient([one for one in armed if one.trigger.event == "backward"], output)
    return output


def _kind_of_batch(token_ids: Tensor) -> Event:
    if torch.is_grad_enabled() and not torch.is_inference_mode_enabled():
        return "micro-batch"
    # One token for each row that is answered; rows of the task are longer than that.
    return "decode" if token_ids.numel() <= MAX_ANSWERED_AT_ONCE else "validation"


def _is_above(trigger: Trigger, token_ids: Tensor) -> bool:
    return token_ids.numel() > trigger.above_tokens


def _change_batch(one: _Armed, token_ids: Tensor, output: object) -> object:
    if not one.is_due(f"batch {tuple(token_ids.shape)}"):
        return output
    if one.trigger.action == "nan" and isinstance(output, Tensor):
        return output * float("nan")
    _act(one.trigger)
    return output


def _watch_gradient(armed: Sequence[_Armed], output: Tensor) -> None:
    for one in armed:
        output.register_hook(_gradient_hook(one))


def _gradient_hook(one: _Armed) -> Callable[[Tensor], Tensor]:
    def change(gradient: Tensor) -> Tensor:
        if not one.is_due("gradient"):
            return gradient
        if one.trigger.action == "nan gradient":
            return gradient * float("nan")
        _act(one.trigger)
        return gradient

    return change
