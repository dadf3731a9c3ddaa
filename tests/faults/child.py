"""One attempt: plant the faults, then run the program.

As a program of its own: `python -m faults.child ORDER`, an order as JSON.
"""

import json
import os
import resource
import signal
import sys
import time
from dataclasses import asdict, dataclass, field
from importlib import import_module, metadata
from pathlib import Path

import torch
from faults.fuzzing import FuzzPlan, fuzz
from faults.triggers import Trigger, plant

READY_TO_TRACE = signal.SIGSTOP


@dataclass(frozen=True, slots=True)
class Order:
    """What a child shall do."""

    arguments: list[str]
    """After the name of the program."""
    log: str
    """File for stdout and stderr together."""
    program: str = "gemtune.cli:main"
    """The function that is called, as `module:name`."""
    triggers: list[Trigger] = field(default_factory=list)
    wait_for_tracer: bool = False
    """Stop before the command starts, until somebody sends SIGCONT."""
    extra_memory_mib: int | None = None
    """Address space that the command may take on top of what the process has."""
    largest_file_bytes: int | None = None
    clock_offset_seconds: float = 0.0
    n_threads: int | None = None
    versions: dict[str, str] = field(default_factory=dict)
    """Packages that shall seem to be there in another version."""
    fuzz: FuzzPlan | None = None
    """Instead of `arguments`."""

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))


def read_order(line: str) -> Order:
    """The order of `Order.to_json`."""
    fields = json.loads(line)
    triggers = [Trigger(**each) for each in fields.pop("triggers")]
    plan = fields.pop("fuzz")
    return Order(triggers=triggers, fuzz=plan and FuzzPlan(**plan), **fields)


def obey(order: Order) -> int:
    """Run the command line in this process; returns its exit code."""
    _change_surroundings(order)
    plant(order.triggers)
    _limit(order)
    sys.argv = [order.program, *order.arguments]
    if order.wait_for_tracer:
        os.kill(os.getpid(), READY_TO_TRACE)
    if order.fuzz:
        from gemtune.cli.app import run

        return fuzz(order.fuzz, run)
    module, _, function = order.program.partition(":")
    return getattr(import_module(module), function)()


def redirect(log: str) -> None:
    """Send stdout and stderr to a file, and close stdin."""
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, number in ((nothing, 0), (target, 1), (target, 2)):
        os.dup2(source, number)
    os.close(target)
    os.close(nothing)


def _change_surroundings(order: Order) -> None:
    if order.clock_offset_seconds:
        real_time, offset = time.time, order.clock_offset_seconds
        time.time = lambda: real_time() + offset
    if order.n_threads is not None:
        torch.set_num_threads(order.n_threads)
    real_version = metadata.version
    metadata.version = lambda distribution_name: (
        order.versions.get(distribution_name) or real_version(distribution_name)
    )


def _limit(order: Order) -> None:
    if order.extra_memory_mib is not None:
        n_pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        in_use = n_pages * resource.getpagesize()
        limit = in_use + order.extra_memory_mib * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    if order.largest_file_bytes is not None:
        limit = order.largest_file_bytes
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))


def _main() -> int:
    order = read_order(sys.argv[1])
    redirect(order.log)
    return obey(order)


if __name__ == "__main__":
    sys.exit(_main())
