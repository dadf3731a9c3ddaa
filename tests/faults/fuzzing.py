"""Feeding a command thousands of slightly wrong files, inside one process."""

import faulthandler
import random
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

MAX_SECONDS_EACH = 5.0
ALLOWED_EXIT_CODES = {0, 2, 3, 4, 5, 6, 9, 10}
BAD = "BAD"
_TOKENS = (
    b"{", b"}", b"[", b"]", b'"', b",", b":", b"\n", b"\0", b"\xff", b"null", b"NaN", b"-1",
    b"1e999",
    b"../../etc/passwd", b"*a", b"&a ", b"!!python/object:os.system", b"{{", b"{%", b"%}", b"}}",
    b"{% for i in range(99999999) %}", b"\xff\xff\xff\xff\xff\xff\xff\x7f", b"\xed\xa0\x80",
    b"[" * 3000,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FuzzPlan:
    """What is fed to which command."""

    arguments: list[str]
    """After `gemtune`."""
    target: str
    """The file that is changed; it is read by the command."""
    sample: str
    """What it holds when nothing is wrong."""
    seconds: float
    seed: int
    first_bytes: int | None = None
    """Only the beginning of the file is changed."""
    restored: str = ""
    """A folder that is made new from `restored_from` before each try."""
    restored_from: str = ""


def fuzz(plan: FuzzPlan, run: Callable[[Sequence[str]], int]) -> int:
    """Run the command on changed files until the time is up; prints what must not happen.

    A try that hangs ends this process with a traceback, also inside C code.
    """
    sample = Path(plan.sample).read_bytes()
    chosen = random.Random(plan.seed)
    end = time.monotonic() + plan.seconds
    n_tries = 0
    while time.monotonic() < end or n_tries == 0:
        n_tries += 1
        if plan.restored:
            shutil.rmtree(plan.restored, ignore_errors=True)
            shutil.copytree(plan.restored_from, plan.restored)
        content = mutate(sample, chosen, plan.first_bytes)
        Path(plan.target).write_bytes(content)
        faulthandler.dump_traceback_later(MAX_SECONDS_EACH, exit=True)
        code = run(plan.arguments)
        faulthandler.cancel_dump_traceback_later()
        if code not in ALLOWED_EXIT_CODES:
            kept = Path(f"{plan.restored or plan.target}.bad-{n_tries}")
            kept.write_bytes(content)
            click.echo(f"{BAD} exit {code}: {kept}")
    click.echo(f"FUZZ {n_tries} tries")
    return 0


def mutate(sample: bytes, chosen: random.Random, first_bytes: int | None = None) -> bytes:
    """Change one to eight things at random places."""
    head, tail = sample[:first_bytes], b"" if first_bytes is None else sample[first_bytes:]
    content = bytearray(head)
    for _ in range(2 ** chosen.randrange(4)):
        at = chosen.randrange(len(content) + 1)
        end = min(len(content), at + chosen.choice([1, 1, 4, 16, 200]))
        content[at:end] = chosen.choice(list(_replacements(bytes(content), at, end, chosen)))
    return bytes(content) + tail


def _replacements(content: bytes, at: int, end: int, chosen: random.Random) -> Iterator[bytes]:
    part = content[at:end]
    yield b""
    yield part + part
    yield bytes(byte ^ (1 << chosen.randrange(8)) for byte in part)
    yield bytes(chosen.randrange(256) for _ in part)
    yield chosen.choice(_TOKENS) + part
    yield chosen.choice(_TOKENS)
    other = chosen.randrange(len(content) + 1)
    yield content[other : other + len(part)]
